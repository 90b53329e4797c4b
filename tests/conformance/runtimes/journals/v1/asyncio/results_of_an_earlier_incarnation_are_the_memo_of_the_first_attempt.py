import asyncio
import json
import sys
from tools import AsyncTools as Tools

async def workflow(input, ctx):
    tools = Tools(ctx.run.id)
    gate, outside, effect, crash, fail = (tools.gate, tools.outside, tools.effect, tools.crash, tools.fail)
    a = await ctx.step('a', lambda: effect('a'))
    data = await ctx.wait_for_signal('go')
    await ctx.sleep('nap', '1h')
    child = await ctx.run_workflow('w', 1)
    b = await ctx.step('b', lambda: 'fresh')
    return [a, data, child, b]