import asyncio
import json
import sys
from tools import AsyncTools as Tools

async def workflow(input, ctx):
    tools = Tools(ctx.run.id)
    gate, outside, effect, crash, fail = (tools.gate, tools.outside, tools.effect, tools.crash, tools.fail)
    return ['number' if isinstance(ctx.now(), float) else '', 'number' if isinstance(ctx.random(), float) else '', len(ctx.uuid()), ctx.patched('x')]