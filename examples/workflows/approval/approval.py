"""Waits for somebody's word. The word may be a line in the run's manifest, so that a merged pull request approves."""


def workflow(input, ctx):
    plan = ctx.step("plan", lambda: {"host": input["host"], "steps": ["drain", "upgrade", "undrain"]})
    question = {"title": f"Upgrade {input['host']}?", "description": "\n".join(plan["steps"])}
    answer = ctx.wait_for_signal("approved", timeout="7d", approval=question)  # nothing is held meanwhile
    if answer is None:
        return {"upgraded": False, "why": "nobody approved it within a week"}
    for step in plan["steps"]:
        ctx.step(step, lambda step=step: print(f"{step} {plan['host']}"))
    return {"upgraded": True, "approved_by": answer["by"]}
