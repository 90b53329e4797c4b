import asyncio
import json
import sys
from tools import Tools as Tools
def workflow(input, ctx):
    tools = Tools(ctx.run.id)
    gate, outside, effect, crash, fail = tools.gate, tools.outside, tools.effect, tools.crash, tools.fail
    def slept():
        ctx.sleep("hour", "1h")
        return "slept"
    return ctx.parallel(slept, lambda: ctx.step("flaky", lambda own: fail("No", "no") if own.attempt < 2 else own.attempt))

