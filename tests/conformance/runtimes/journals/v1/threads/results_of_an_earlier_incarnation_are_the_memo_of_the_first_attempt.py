import asyncio
import json
import sys
from tools import Tools as Tools
def workflow(input, ctx):
    tools = Tools(ctx.run.id)
    gate, outside, effect, crash, fail = tools.gate, tools.outside, tools.effect, tools.crash, tools.fail
    a = ctx.step("a", lambda: effect("a"))
    data = ctx.wait_for_signal("go")
    ctx.sleep("nap", "1h")
    child = ctx.run_workflow("w", 1)
    b = ctx.step("b", lambda: "fresh")
    return [a, data, child, b]

