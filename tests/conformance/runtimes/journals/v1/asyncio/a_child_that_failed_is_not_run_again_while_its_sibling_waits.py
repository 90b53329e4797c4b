import asyncio
import json
import sys
from tools import AsyncTools as Tools

async def workflow(input, ctx):
    tools = Tools(ctx.run.id)
    gate, outside, effect, crash, fail = (tools.gate, tools.outside, tools.effect, tools.crash, tools.fail)

    async def branch(name):
        try:
            return await ctx.run_workflow(name, 1 if name == 'bad' else 2)
        except Exception as error:
            return error.status
    return await tools.parallel(lambda: branch('bad'), lambda: branch('good'))