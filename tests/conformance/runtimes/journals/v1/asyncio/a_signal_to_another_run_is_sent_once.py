import asyncio
import json
import sys
from tools import AsyncTools as Tools

async def workflow(input, ctx):
    tools = Tools(ctx.run.id)
    gate, outside, effect, crash, fail = (tools.gate, tools.outside, tools.effect, tools.crash, tools.fail)
    result = await ctx.send_signal('other', 'go', {'a': [1]})
    crash()
    return [result]