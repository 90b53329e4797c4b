import asyncio
import json
import sys
from tools import Tools as Tools
def workflow(input, ctx):
    tools = Tools(ctx.run.id)
    gate, outside, effect, crash, fail = tools.gate, tools.outside, tools.effect, tools.crash, tools.fail
    def done():
        effect("done")
        gate("done")
        return 1
    def dying(own):
        effect(f"dying {own.attempt}")
        if own.attempt == 1:
            gate("die")
            crash()
        return own.attempt
    return ctx.parallel(lambda: ctx.step("done", done), lambda: ctx.step("dying", dying))

