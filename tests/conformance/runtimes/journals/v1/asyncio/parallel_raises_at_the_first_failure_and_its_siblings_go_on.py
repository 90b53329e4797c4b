import asyncio
import json
import sys
from tools import AsyncTools as Tools

async def workflow(input, ctx):
    tools = Tools(ctx.run.id)
    gate, outside, effect, crash, fail = (tools.gate, tools.outside, tools.effect, tools.crash, tools.fail)

    def slow():
        effect('slow')
        gate('slow')

    def bad():
        gate('bad')
        fail('No', 'bad')
    try:
        await tools.parallel(lambda: ctx.step('slow', slow), lambda: ctx.step('bad', bad, retry={'max_attempts': 1}))
    except Exception as error:
        caught = str(error)
    await ctx.step('after', lambda: gate('after'))
    return caught