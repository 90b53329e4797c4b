import asyncio
import json
import sys
from tools import AsyncTools as Tools

async def workflow(input, ctx):
    tools = Tools(ctx.run.id)
    gate, outside, effect, crash, fail = (tools.gate, tools.outside, tools.effect, tools.crash, tools.fail)

    async def branch(name):
        await ctx.step(f'{name}1', lambda: gate(f'{name}1'))
        await ctx.step(f'{name}2', lambda: gate(f'{name}2'))
        return name
    return await tools.parallel(lambda: branch('a'), lambda: branch('b'))