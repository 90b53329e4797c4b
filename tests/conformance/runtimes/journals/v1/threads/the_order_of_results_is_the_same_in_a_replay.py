import asyncio
import json
import sys
from tools import Tools as Tools
def workflow(input, ctx):
    tools = Tools(ctx.run.id)
    gate, outside, effect, crash, fail = tools.gate, tools.outside, tools.effect, tools.crash, tools.fail
    order = []
    def branch(name):
        def body():
            gate(name)
            return name
        order.append(ctx.step(name, body))
    ctx.parallel(lambda: branch("a"), lambda: branch("b"), lambda: branch("c"))
    crash()
    return order

