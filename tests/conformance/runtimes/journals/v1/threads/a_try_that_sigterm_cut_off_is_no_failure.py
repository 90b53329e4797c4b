import asyncio
import json
import sys
from tools import Tools as Tools
def workflow(input, ctx):
    tools = Tools(ctx.run.id)
    gate, outside, effect, crash, fail = tools.gate, tools.outside, tools.effect, tools.crash, tools.fail
    def work(own):
        effect(f"try {own.attempt}")
        if own.attempt == 1:
            gate("never")
        return [own.attempt, own.in_doubt]
    return ctx.step("work", work)

