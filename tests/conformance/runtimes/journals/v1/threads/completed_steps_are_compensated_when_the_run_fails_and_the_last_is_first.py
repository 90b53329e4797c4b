import asyncio
import json
import sys
from tools import Tools as Tools
def workflow(input, ctx):
    tools = Tools(ctx.run.id)
    gate, outside, effect, crash, fail = tools.gate, tools.outside, tools.effect, tools.crash, tools.fail
    ctx.step("book", lambda: "flight", compensate=lambda result, own: effect(f"cancel {result} {own.key} {own.attempt}"))
    ctx.step("pay", lambda: 100, compensate=lambda result: effect(f"refund {result}"))
    ctx.step("plain", lambda: 1)
    fail("Broken", "after all")

