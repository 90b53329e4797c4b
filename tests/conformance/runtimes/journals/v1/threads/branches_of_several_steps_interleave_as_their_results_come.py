import asyncio
import json
import sys
from tools import Tools as Tools
def workflow(input, ctx):
    tools = Tools(ctx.run.id)
    gate, outside, effect, crash, fail = tools.gate, tools.outside, tools.effect, tools.crash, tools.fail
    def branch(name):
        ctx.step(f"{name}1", lambda: gate(f"{name}1"))
        ctx.step(f"{name}2", lambda: gate(f"{name}2"))
        return name
    return ctx.parallel(lambda: branch("a"), lambda: branch("b"))

