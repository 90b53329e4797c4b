import asyncio
import json
import sys
from tools import AsyncTools as Tools

async def workflow(input, ctx):
    tools = Tools(ctx.run.id)
    gate, outside, effect, crash, fail = (tools.gate, tools.outside, tools.effect, tools.crash, tools.fail)
    order = []

    async def branch(name):

        def body():
            gate(name)
            return name
        order.append(await ctx.step(name, body))
    await tools.parallel(lambda: branch('a'), lambda: branch('b'), lambda: branch('c'))
    crash()
    return order