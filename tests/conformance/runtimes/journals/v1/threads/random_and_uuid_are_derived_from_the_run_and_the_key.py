import asyncio
import json
import sys
from tools import Tools as Tools
def workflow(input, ctx):
    tools = Tools(ctx.run.id)
    gate, outside, effect, crash, fail = tools.gate, tools.outside, tools.effect, tools.crash, tools.fail
    values = [ctx.random(), ctx.random(), ctx.random("dice"), ctx.uuid(), ctx.uuid("order"), ctx.uuid("order")]
    ctx.step("mark", lambda: values)
    crash()
    return values

