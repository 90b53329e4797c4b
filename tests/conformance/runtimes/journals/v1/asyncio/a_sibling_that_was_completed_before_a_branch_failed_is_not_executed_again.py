import asyncio
import json
import sys
from tools import AsyncTools as Tools

async def workflow(input, ctx):
    tools = Tools(ctx.run.id)
    gate, outside, effect, crash, fail = (tools.gate, tools.outside, tools.effect, tools.crash, tools.fail)
    results = []

    def work():
        gate('good')
        effect('good')
        return 1

    def bad(own):
        effect(f'bad {own.attempt}')
        return fail('No', 'no') if own.attempt < 2 else 2

    async def branch():
        results.append(await ctx.step('good', work))
        results.append(await ctx.step('bad', bad))
    await tools.parallel(branch)
    return results