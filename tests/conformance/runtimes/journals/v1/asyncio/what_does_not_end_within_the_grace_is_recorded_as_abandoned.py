import asyncio
import json
import sys
from tools import AsyncTools as Tools

async def workflow(input, ctx):
    tools = Tools(ctx.run.id)
    gate, outside, effect, crash, fail = (tools.gate, tools.outside, tools.effect, tools.crash, tools.fail)

    async def over():
        await ctx.step('other', lambda: 1)
        raise KeyError('over')
    try:
        await tools.parallel(lambda: ctx.step('deaf', lambda: gate('never')), over)
    except KeyError:
        return 'over'