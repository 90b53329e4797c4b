import asyncio
import json
import sys
from tools import Tools as Tools
def workflow(input, ctx):
    tools = Tools(ctx.run.id)
    gate, outside, effect, crash, fail = tools.gate, tools.outside, tools.effect, tools.crash, tools.fail
    def branch(name):
        try:
            return ctx.run_workflow(name, 1 if name == "bad" else 2)
        except Exception as error:
            return error.status
    return ctx.parallel(lambda: branch("bad"), lambda: branch("good"))

