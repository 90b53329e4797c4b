import asyncio
import json
import sys
from tools import AsyncTools as Tools

async def workflow(input, ctx):
    tools = Tools(ctx.run.id)
    gate, outside, effect, crash, fail = (tools.gate, tools.outside, tools.effect, tools.crash, tools.fail)

    async def slept():
        await ctx.sleep('hour', '1h')
        return 1
    return await tools.parallel(slept, lambda: ctx.run_workflow('w', None))