import asyncio
import json
import sys
from tools import Tools as Tools
def workflow(input, ctx):
    tools = Tools(ctx.run.id)
    gate, outside, effect, crash, fail = tools.gate, tools.outside, tools.effect, tools.crash, tools.fail
    def long(own):
        own.heartbeat({"done": 1})
        own.heartbeat({"done": 2})
        gate("long")
        return "done"
    return ctx.step("long", long)

