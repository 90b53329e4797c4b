import asyncio
import json
import sys
from tools import Tools as Tools
def workflow(input, ctx):
    tools = Tools(ctx.run.id)
    gate, outside, effect, crash, fail = tools.gate, tools.outside, tools.effect, tools.crash, tools.fail
    def slow(own):
        if own.attempt == 2:
            return "second"
        own.signal.wait(20)
        effect("aborted")
    return ctx.step("slow", slow, timeout=1)

