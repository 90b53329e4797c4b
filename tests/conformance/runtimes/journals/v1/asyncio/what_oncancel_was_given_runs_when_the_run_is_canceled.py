import asyncio
import json
import sys
from tools import AsyncTools as Tools

async def workflow(input, ctx):
    tools = Tools(ctx.run.id)
    gate, outside, effect, crash, fail = (tools.gate, tools.outside, tools.effect, tools.crash, tools.fail)
    ctx.on_cancel(lambda: effect('first'))
    ctx.on_cancel(lambda: effect('clean'))
    await ctx.wait_for_signal('go')