import asyncio
import json
import sys
from tools import Tools as Tools
def workflow(input, ctx):
    tools = Tools(ctx.run.id)
    gate, outside, effect, crash, fail = tools.gate, tools.outside, tools.effect, tools.crash, tools.fail
    def pay(own):
        if own.attempt == 1:
            crash()
        return own.attempt
    return ctx.step("pay", pay, on_in_doubt="ask")

