import asyncio
import json
import sys
from tools import AsyncTools as Tools

async def workflow(input, ctx):
    tools = Tools(ctx.run.id)
    gate, outside, effect, crash, fail = (tools.gate, tools.outside, tools.effect, tools.crash, tools.fail)

    def work(own):
        own.signal.wait(20)
        return 'stopped'
    await ctx.step('work', work)
    await ctx.step('never', lambda: effect('never'))