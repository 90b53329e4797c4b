import asyncio
import json
import sys
from tools import AsyncTools as Tools

async def workflow(input, ctx):
    tools = Tools(ctx.run.id)
    gate, outside, effect, crash, fail = (tools.gate, tools.outside, tools.effect, tools.crash, tools.fail)
    return await ctx.step('pay', lambda: crash(), on_in_doubt='ask')