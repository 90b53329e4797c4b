import asyncio
import json
import sys
from tools import Tools as Tools
def workflow(input, ctx):
    tools = Tools(ctx.run.id)
    gate, outside, effect, crash, fail = tools.gate, tools.outside, tools.effect, tools.crash, tools.fail
    results = []
    def work():
        gate("good")
        effect("good")
        return 1
    def bad(own):
        effect(f"bad {own.attempt}")
        return fail("No", "no") if own.attempt < 2 else 2
    def branch():
        results.append(ctx.step("good", work))
        results.append(ctx.step("bad", bad))
    ctx.parallel(branch)
    return results

