import asyncio
import json
import sys
from tools import Tools as Tools
def workflow(input, ctx):
    tools = Tools(ctx.run.id)
    gate, outside, effect, crash, fail = tools.gate, tools.outside, tools.effect, tools.crash, tools.fail
    ctx.step("a", lambda: 1, compensate=lambda result: effect("undo a"))
    ctx.step("b", lambda: 2, compensate=lambda result: fail("No", "cannot"))
    fail("Broken", "over")

