import asyncio
import json
import sys
from tools import AsyncTools as Tools

async def workflow(input, ctx):
    tools = Tools(ctx.run.id)
    gate, outside, effect, crash, fail = (tools.gate, tools.outside, tools.effect, tools.crash, tools.fail)

    def work(own):
        effect(f'try {own.attempt}')
        if own.attempt == 1:
            gate('never')
        return [own.attempt, own.in_doubt]
    return await ctx.step('work', work)