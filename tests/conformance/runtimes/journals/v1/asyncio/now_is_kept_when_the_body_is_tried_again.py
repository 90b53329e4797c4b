import asyncio
import json
import sys
from tools import AsyncTools as Tools

async def workflow(input, ctx):
    tools = Tools(ctx.run.id)
    gate, outside, effect, crash, fail = (tools.gate, tools.outside, tools.effect, tools.crash, tools.fail)
    first = ctx.now()
    seen = await ctx.step('seen', lambda: first)
    fail('No', str(first == seen).lower())