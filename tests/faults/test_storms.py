"""What goes wrong again and again is tried again at leisure, and what waits costs nothing."""

import resource

from tests.support.site import Site, eventually

NAP = 'def workflow(input, ctx):\n    ctx.sleep("nap", "200ms")\n    return "rested"\n'
ECHO = "async function workflow(input) {\n  return input;\n}\n"


def cost_of_waiting(site: Site, seconds: float) -> float:
    """Return the processor time that a command uses which waits for so long, in vain."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    site.finish("--timeout", f"{seconds}s", expect=5)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_I13_a_runtime_that_dies_before_it_takes_a_run_is_not_started_without_end(site: Site) -> None:
    site.settings(site.pretend_python(f"echo started >> {site.effects_file}; exit 3"))
    site.workflow("nap", "nap.py", NAP)
    site.workflow("echo", "echo.js", ECHO)
    site.start("stuck", "nap")
    site.start("other", "echo", input=1)

    site.finish("--timeout", "3s", expect=5)
    tried = len(site.effects())
    site.settings("park_after: 2m\n")
    site.finish("--timeout", "30s")

    assert 1 <= tried <= 10  # the first pauses are drawn between nothing and 1 s, 2 s, 4 s: without them it would be hundreds
    assert site.statuses() == {"stuck": "completed", "other": "completed"}
    assert site.status("stuck")["claims"] == 1


def test_a_parked_run_that_is_suspended_beyond_its_time_costs_a_waiting_command_next_to_nothing(site: Site) -> None:
    site.settings("park_after: 100ms\n")
    site.workflow("nap", "nap.py", NAP)
    site.start("held", "nap")
    site.pass_()
    eventually(lambda: site.reached("held", "parked"))
    site.start("held", "nap", suspend=True)
    site.pass_()

    short, long = cost_of_waiting(site, 0.1), cost_of_waiting(site, 4)
    site.start("held", "nap")
    site.finish("--timeout", "30s")

    assert long < 2 * short
    assert site.status("held")["output"] == "rested"


def test_a_worker_finds_its_order_when_it_starts_so_that_none_is_left_behind_that_waits_for_one(site: Site) -> None:
    site.settings(site.pretend_python('for folder; do :; done; cat "$folder/orders" >> "$EFFECTS"; exit 3'))
    site.workflow("nap", "nap.py", NAP)
    site.start("one", "nap")

    site.pass_()
    eventually(site.effects)

    assert [line.split(" ", 1)[1].split(",")[0] for line in site.effects()] == ['{"type":"hello"', '{"type":"order"']
