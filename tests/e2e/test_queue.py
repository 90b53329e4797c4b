"""A process that lives on, with real installations that hang: what the lead's loop does with a Service, pass by pass."""

import os
import select
import sys
import time
from collections.abc import Callable, Iterator
from threading import Event

import pytest

from reconciler.clock import SystemClock
from reconciler.config import load_settings
from reconciler.errands import Errands
from reconciler.passed import Passed
from reconciler.service import Service
from reconciler.state import queries
from tests.support.site import Site

HELLO = "def workflow(input, ctx):\n    return ctx.step('hello', lambda: 'hello')\n"
NEEDS = {"etl/main.py": HELLO, "etl/requirements.txt": "something-large\n"}


class Loop:
    """Passes of one Service over a project, woken by outcomes and by time."""

    def __init__(self, site: Site) -> None:
        self.site, self.woken = site, Event()
        pip = site.home / "python3.11"  # a Python whose pip hangs
        self.pid = site.home / "pip.pid"
        pip.write_text(f'#!/bin/sh\ncase "$*" in *"pip install"*) echo $$ > {self.pid}; exec sleep 600;; esac\nexec {sys.executable} "$@"\n')
        pip.chmod(0o755)
        config = site.settings(f"data_dir: {site.data}\nadapters: {{exec: {{python: {pip}, linger: 50ms}}}}\n")
        self.service = Service(load_settings(config, dict(os.environ)), SystemClock(), lambda _: None)
        self.service.errands = Errands(self.woken.set)
        self.passed = Passed()

    def pass_(self) -> Passed:
        self.passed = self.service.reconcile([self.site.folder], "test", lambda *_: None)
        return self.passed

    def until(self, wanted: Callable[[], bool]) -> None:
        end = time.monotonic() + 40
        while not wanted():
            assert time.monotonic() < end, f"it never came: {self.passed}"
            self.pass_()
            self.woken.wait(0.05)
            self.woken.clear()

    def status(self, run: str) -> tuple[str, str]:
        with self.service.reading() as store:
            rows = [] if store is None else queries.runs_named(store, run, None, None)
        return (rows[0]["status"], rows[0]["reason"]) if rows else ("", "")


@pytest.fixture
def loop(site: Site) -> Iterator[Loop]:
    found = Loop(site)
    yield found
    assert found.service.errands is not None
    found.service.errands.close()


def gone(pid: int) -> bool:
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([fd], [], [], 10)[0])
    finally:
        os.close(fd)


def declare_large(site: Site, requirements: str) -> None:
    for path, text in {**NEEDS, "etl/requirements.txt": requirements}.items():
        site.write(path, text)
    site.declare("Workflow", "etl", {"code": {"dir": "etl", "entry": "main.py"}})


def test_runs_of_others_end_while_an_installation_hangs_and_a_fix_does_not_wait_for_it(loop: Loop, site: Site) -> None:
    declare_large(site, "something-large\n")
    site.start("night", "etl")
    loop.pass_()
    loop.until(loop.pid.exists)
    site.workflow("hello", "hello.py", HELLO)
    site.start("a", "hello")

    loop.until(lambda: loop.status("a")[0] == "completed")
    assert loop.status("night") == ("pending", "deploying")

    declare_large(site, "# nothing\n")
    loop.until(lambda: loop.status("night")[0] == "completed")
    assert gone(int(loop.pid.read_text()))
    assert list((site.data / "exec/deps").iterdir()) == []


def test_a_process_that_ends_leaves_no_installation_behind(loop: Loop, site: Site) -> None:
    declare_large(site, "something-large\n")
    loop.pass_()
    loop.until(loop.pid.exists)
    assert loop.service.errands is not None
    loop.service.errands.close()

    assert gone(int(loop.pid.read_text()))
    loop.until(lambda: not loop.service.errands.under_way())  # type: ignore[union-attr]


def test_an_installation_that_fails_is_told_once_and_tried_again_later_and_one_pass_of_a_person_tries_at_once(loop: Loop, site: Site) -> None:
    python = site.home / "python3.11"
    python.write_text(python.read_text().replace("exec sleep 600", "echo no such package; exit 1"))
    declare_large(site, "something-large\n")
    loop.pass_()
    loop.until(lambda: any(report.applied.failures for report in loop.passed.reports))

    (failure,) = loop.passed.reports[0].applied.failures
    (notice,) = loop.passed.reports[0].plan.rejected
    assert "no such package" in failure.message
    assert (notice.object, notice.reason) == ("workflow/etl", "deploy-failed")
    assert loop.passed.reports[0].dues
    (waiting,) = site.cli.run("status", "--json").json["retries"]
    assert (waiting["object"], waiting["reason"], waiting["failures"]) == ("workflow/etl", "deploy-failed", 1)
    assert f"workflow/etl  deploy-failed  next try at {waiting['next_at']}" in site.cli.run("status").stdout
    assert "no such package" in site.pass_(expect=1).stderr
