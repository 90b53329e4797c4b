import asyncio
import json
import sys
from tools import Tools as Tools
def workflow(input, ctx):
    tools = Tools(ctx.run.id)
    gate, outside, effect, crash, fail = tools.gate, tools.outside, tools.effect, tools.crash, tools.fail
    def over():
        ctx.step("other", lambda: 1)
        raise KeyError("over")
    try:
        ctx.parallel(lambda: ctx.step("deaf", lambda: gate("never")), over)
    except KeyError:
        return "over"

