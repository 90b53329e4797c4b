import asyncio
import json
import sys
from tools import AsyncTools as Tools

async def workflow(input, ctx):
    tools = Tools(ctx.run.id)
    gate, outside, effect, crash, fail = (tools.gate, tools.outside, tools.effect, tools.crash, tools.fail)

    async def branch(n):

        def body():
            gate(f'g{n}')
            return n
        return await ctx.step('same', body)
    return await tools.parallel(*[lambda n=n: branch(n) for n in [1, 2, 3]])