"""What a dying worker left of its last line is cut before the next one is ordered, and nothing else is."""

import pytest

from tests.support.site import Site, eventually, kill

WORK = """\
import os, time

def work(step):
    effects = os.open(os.environ["EFFECTS"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(effects, f"{step.key} {step.attempt}\\n".encode())
    if step.attempt == 1:
        time.sleep(600)
    return "done"

def workflow(input, ctx):
    ctx.step("before", lambda: 1)
    return ctx.step("work", work)
"""


@pytest.mark.parametrize("tail", [b'01234567 {"type":"comp', b"0", bytes(100), b"0123" + bytes(50)], ids=["torn", "digit", "zeros", "both"])
def test_I4_the_torn_tail_of_a_dead_worker_is_cut_and_the_run_goes_on(site: Site, tail: bytes) -> None:
    site.workflow("torn", "torn.py", WORK)
    site.start("one", "torn")
    site.pass_()
    eventually(site.effects)
    assert all(kill(pid) for pid in site.processes())
    (journal,) = (site.data / "exec/runs").glob("*.journal.jsonl")
    before = journal.read_bytes()
    journal.write_bytes(before + tail)

    site.finish("--timeout", "20s")

    assert journal.read_bytes().startswith(before)
    assert site.status("one")["output"] == "done"
    assert [line.split()[1] for line in site.effects()] == ["1", "2"]
