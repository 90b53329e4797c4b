import asyncio
import json
import sys
from tools import Tools as Tools
def workflow(input, ctx):
    tools = Tools(ctx.run.id)
    gate, outside, effect, crash, fail = tools.gate, tools.outside, tools.effect, tools.crash, tools.fail
    def bad():
        gate("bad")
        fail("No", "bad")
    def polite(own):
        own.signal.wait(20)
        return "aborted"
    ctx.parallel(lambda: ctx.step("polite", polite), lambda: ctx.step("bad", bad, retry={"max_attempts": 1}))

