import asyncio
import json
import sys
from tools import Tools as Tools
def workflow(input, ctx):
    tools = Tools(ctx.run.id)
    gate, outside, effect, crash, fail = tools.gate, tools.outside, tools.effect, tools.crash, tools.fail
    def branch(n):
        def body():
            gate(f"g{n}")
            return n
        return ctx.step("same", body)
    return ctx.parallel(*[lambda n=n: branch(n) for n in [1, 2, 3]])

