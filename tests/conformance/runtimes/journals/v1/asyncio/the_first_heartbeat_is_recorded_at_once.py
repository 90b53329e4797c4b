import asyncio
import json
import sys
from tools import AsyncTools as Tools

async def workflow(input, ctx):
    tools = Tools(ctx.run.id)
    gate, outside, effect, crash, fail = (tools.gate, tools.outside, tools.effect, tools.crash, tools.fail)

    def long(own):
        own.heartbeat({'done': 1})
        own.heartbeat({'done': 2})
        gate('long')
        return 'done'
    return await ctx.step('long', long)