import asyncio
import json
import sys
from tools import AsyncTools as Tools

async def workflow(input, ctx):
    tools = Tools(ctx.run.id)
    gate, outside, effect, crash, fail = (tools.gate, tools.outside, tools.effect, tools.crash, tools.fail)

    async def slept():
        await ctx.sleep('hour', '1h')
        return 'slept'
    return await tools.parallel(slept, lambda: ctx.step('flaky', lambda own: fail('No', 'no') if own.attempt < 2 else own.attempt))