"""Several processes over the same data folder at the same time."""

import os
import signal
from collections import Counter
from pathlib import Path

import pytest

from tests.support.site import Site, eventually

EFFECT = """\
import os

def effect(run):
    fd = os.open(os.environ["EFFECTS"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(fd, (run + "\\n").encode())
    os.close(fd)

def workflow(input, ctx):
    ctx.step("work", lambda: effect(ctx.run.id))
    return input
"""


def slow_secret(site: Site) -> Path:
    """Let every start of a worker wait for a file, so that a pass takes as long as a test likes; returns the file that shows the wait."""
    waiting, gate = site.home / "waiting", site.home / "gate"
    site.settings(f"secrets: {{slow: {{cmd: 'touch {waiting}; until [ -e {gate} ]; do sleep 0.01; done; echo x'}}}}\n")
    site.workflow("work", "work.py", EFFECT, env={"SLOW": {"secret": "slow"}})
    site.start("only", "work")
    return waiting


def has_open(pid: int, path: Path) -> bool:
    """Say whether a process has opened a file."""
    try:
        return any(os.readlink(entry.path) == str(path) for entry in os.scandir(f"/proc/{pid}/fd"))
    except OSError:
        return False


def test_a_second_reconcile_waits_for_the_lock_and_finds_nothing_left_to_do(site: Site) -> None:
    waiting = slow_secret(site)

    first = site.spawn("reconcile", "--once", str(site.folder))
    eventually(waiting.exists)
    second = site.spawn("reconcile", "--once", str(site.folder))
    eventually(lambda: has_open(second.pid, site.data / "lock"))
    started_by_then, running = site.effects(), second.poll() is None
    (site.home / "gate").touch()
    shown = [process.communicate(timeout=30)[0] for process in (first, second)]
    site.finish()

    assert (started_by_then, running) == ([], True)
    assert (first.returncode, second.returncode) == (0, 0)
    assert "1 start" in shown[0]
    assert "No changes" in shown[1]
    assert site.effects() == ["only"]


def test_plan_status_and_list_do_not_wait_for_a_pass_that_is_under_way(site: Site) -> None:
    waiting = slow_secret(site)
    first = site.spawn("reconcile", "--once", str(site.folder))
    eventually(waiting.exists)

    seen = site.status("only")["status"]
    listed = site.statuses()
    planned = site.plan()["summary"]

    assert first.poll() is None
    assert (seen, listed) == ("pending", {"only": "pending"})
    assert planned["rejected"] == planned["held"] == 0
    first.send_signal(signal.SIGINT)
    assert first.wait(20) == 130


@pytest.mark.slow
def test_a_lock_that_does_not_come_free_is_exit_4_and_names_its_holder(site: Site) -> None:
    waiting = slow_secret(site)
    site.settings((site.home / ".config/ty-openworkflow/config.yaml").read_text().replace("until", "sleep 9; until"))
    for number in range(6):
        site.start(f"run-{number}", "work")
    first = site.spawn("reconcile", "--once", str(site.folder))
    eventually(waiting.exists)

    error = site.pass_(expect=4).stderr

    assert f"held by process {first.pid} reconcile --once" in error
    first.kill()
    first.communicate()


def test_I7_eight_passes_at_the_same_time_over_50_runs_give_each_run_one_claim(site: Site) -> None:
    site.settings("adapters: {exec: {runs_per_worker: 5, linger: 100ms, concurrency: 50}}\n")
    site.workflow("work", "work.py", EFFECT)
    for number in range(50):
        site.start(f"run-{number}", "work", input=number)

    passes = [site.spawn("reconcile", "--once", str(site.folder)) for _ in range(8)]
    said = [process.communicate(timeout=60) for process in passes]
    site.finish()

    assert [process.returncode for process in passes] == [0] * 8, said
    assert Counter(site.effects()) == Counter(f"run-{number}" for number in range(50))
    journals = site.journals()
    assert len(journals) == 50
    for name, records in journals.items():
        assert [record["claim"] for record in records if record["type"] == "claim"] == [1], name
        assert records[-1]["status"] == "completed"


def test_a_status_that_is_asked_again_and_again_gets_into_no_bodys_way(site: Site) -> None:
    site.settings("adapters: {exec: {concurrency: 10}}\n")
    site.workflow("work", "work.py", EFFECT)
    for number in range(20):
        site.start(f"run-{number}", "work", input=number)

    reconcile = site.spawn("reconcile", "--once", "--wait", str(site.folder))
    asked = 0
    while reconcile.poll() is None:
        site.cli.run("status")
        asked += 1
    said = reconcile.communicate()

    assert asked > 0
    assert reconcile.returncode == 0, said
    assert Counter(site.effects()) == Counter(f"run-{number}" for number in range(20))
