import asyncio
import json
import sys
from tools import AsyncTools as Tools

async def workflow(input, ctx):
    tools = Tools(ctx.run.id)
    gate, outside, effect, crash, fail = (tools.gate, tools.outside, tools.effect, tools.crash, tools.fail)

    def pay(own):
        if own.attempt == 1:
            crash()
        return own.attempt
    return await ctx.step('pay', pay, on_in_doubt='ask')