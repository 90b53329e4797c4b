import asyncio
import json
import sys
from tools import AsyncTools as Tools

async def workflow(input, ctx):
    tools = Tools(ctx.run.id)
    gate, outside, effect, crash, fail = (tools.gate, tools.outside, tools.effect, tools.crash, tools.fail)
    await ctx.step('book', lambda: 1, compensate=lambda result: effect('undo'))
    await ctx.sleep('hour', '1h')