"""The contract of `reconciler.compute`, on every adapter. The one in memory is the reference."""

import os
import select
import stat
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from adapters.exec import ExecAdapter
from adapters.placing import ExecSettings
from adapters.processes import kill_tree
from reconciler.compute import (
    Adapter,
    Finished,
    Gone,
    LetGo,
    Live,
    Missing,
    Observation,
    Order,
    Ordered,
    Quarantined,
    Refused,
    Revision,
    Unclaimed,
)
from reconciler.errors import UnavailableError
from reconciler.model import Status
from tests.support.memory import MemoryAdapter, Platform
from tests.support.workers import NODE, SETTINGS, now

PYTHON = {
    "echo": 'def workflow(input, ctx):\n    print("hello")\n    ctx.step("work", lambda: 1)\n    return input\n',
    "fail": 'def workflow(input, ctx):\n    raise ValueError("no")\n',
    "park": 'def workflow(input, ctx):\n    ctx.sleep("nap", "30d")\n',
    "work": 'import time\ndef workflow(input, ctx):\n    ctx.step("work", lambda: time.sleep(600))\n',
    "crash": 'import os\ndef workflow(input, ctx):\n    ctx.step("work", lambda: os._exit(7))\n',
    "parent": 'def workflow(input, ctx):\n    return ctx.run_workflow("echo", ctx.run.uid, name="kid")\n',
    "wait": 'def workflow(input, ctx):\n    return {"data": ctx.wait_for_signal("go")}\n',
    "tell": 'def workflow(input, ctx):\n    return ctx.send_signal("a", "go", 1)\n',
    "undo": 'def workflow(input, ctx):\n    ctx.step("work", lambda: 1, compensate=lambda result: None)\n    ctx.wait_for_signal("later")\n',
}
JAVASCRIPT = {
    "echo": 'async function workflow(input, { step }) {\n  console.log("hello");\n  await step("work", () => 1);\n  return input;\n}\n',
    "fail": 'async function workflow() {\n  throw new RangeError("no");\n}\n',
    "park": 'async function workflow(input, { sleep }) {\n  await sleep("nap", "30d");\n}\n',
    "work": 'async function workflow(input, { step }) {\n  await step("work", () => new Promise((done) => setTimeout(done, 600000)));\n}\n',
    "crash": 'async function workflow(input, { step }) {\n  await step("work", () => process.exit(7));\n}\n',
    "parent": 'async function workflow(input, { run, runWorkflow }) {\n  return await runWorkflow("echo", run.uid, { name: "kid" });\n}\n',
    "wait": 'async function workflow(input, { waitForSignal }) {\n  return { data: await waitForSignal("go") };\n}\n',
    "tell": 'async function workflow(input, { sendSignal }) {\n  return await sendSignal("a", "go", 1);\n}\n',
    "undo": 'async function workflow(input, { step, waitForSignal }) {\n  await step("work", () => 1, { compensate: () => null });\n'
    '  await waitForSignal("later");\n}\n',
}


class Harness(ABC):
    """One platform, and how a test makes things happen on it."""

    runtime = "python"

    @abstractmethod
    def open(self) -> Adapter:
        """Return a new adapter over the same platform, as another process would have it."""

    @abstractmethod
    def kill_worker(self, uid: str) -> None:
        """Let the worker of a run die."""

    @abstractmethod
    def alter(self, digest: str) -> None:
        """Change something of a deployed revision behind the adapter's back."""

    def code(self, behaviour: str) -> dict[str, bytes]:
        return {"workflow.py": behaviour.encode()}

    def entry(self, behaviour: str) -> str:
        return behaviour

    def revision(self, behaviour: str) -> Revision:
        return Revision(f"{behaviour:0<32}", behaviour, self.runtime, self.entry(behaviour), settings=SETTINGS)

    def order(self, behaviour: str, uid: str = "u1", claim: int = 1, value: Any = None, spec_hash: str = "h1") -> Order:
        first = {"type": "order", "claim": 0, "seq": 1, "at": now(), "protocol": 1, "uid": uid, "scope": "s", "project": "p", "environment": "e",
                 "run": uid, "incarnation": 1, "workflow": behaviour, "revision": behaviour, "version": "", "spec_hash": spec_hash, "owner": "o",
                 "input": value, "settings": SETTINGS}  # fmt: skip
        return Order(uid, claim, self.revision(behaviour), first)

    def start(self, adapter: Adapter, behaviour: str, uid: str = "u1", **changes: Any) -> Any:
        adapter.deploy(self.revision(behaviour), self.code(behaviour), lambda _: None)
        return adapter.start([self.order(behaviour, uid, **changes)], lambda _: None)[0]

    def until(self, adapter: Adapter, uid: str, wanted: Callable[[Observation], bool], claim: int = 1) -> Observation:
        end = time.monotonic() + 20
        while True:
            seen = adapter.observe({uid: claim})[uid]
            if wanted(seen):
                return seen
            assert time.monotonic() < end, f"{uid} is still {seen}"
            select.select([], [], [], 0.01)


class InMemory(Harness):
    def __init__(self, _: Path) -> None:
        self.platform = Platform()

    def open(self) -> Adapter:
        return MemoryAdapter(self.platform)

    def kill_worker(self, uid: str) -> None:
        self.platform.alive.discard(uid)

    def alter(self, digest: str) -> None:
        self.platform.revisions[digest]["workflow.py"] = b"changed"


class Exec(Harness):
    programs = PYTHON
    file = "workflow.py"

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "exec"

    def open(self) -> Adapter:
        return ExecAdapter(ExecSettings(str(self.folder), linger_ms=20))

    def kill_worker(self, uid: str) -> None:
        history = self.open().history(uid)
        assert history is not None
        kill_tree(history.worker)

    def alter(self, digest: str) -> None:
        file = self.folder / "revisions" / digest / "code" / self.file
        file.chmod(0o600)
        file.write_bytes(b"changed")
        file.chmod(0o400)

    def code(self, behaviour: str) -> dict[str, bytes]:
        return {self.file: self.programs[behaviour].encode()}

    def entry(self, behaviour: str) -> str:
        return self.file


class ExecPython(Exec):
    pass


class ExecNode(Exec):
    runtime = "node"
    programs = JAVASCRIPT
    file = "workflow.js"


@pytest.fixture(params=[InMemory, ExecPython, ExecNode], ids=lambda kind: kind.__name__)
def harness(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Harness]:
    if request.param is ExecNode and NODE is None:
        if os.environ.get("CI"):
            pytest.fail("node is not installed")
        pytest.skip("node is not installed")
    made = request.param(tmp_path)
    yield made
    for found in list(made.open().found()):
        made.open().kill(found.uid)


def finished(seen: Observation) -> bool:
    return isinstance(seen, Finished)


def test_a_platform_that_holds_nothing_says_so(harness: Harness) -> None:
    adapter = harness.open()

    assert adapter.observe({"u1": 1}) == {"u1": Missing()}
    assert adapter.deployed(["x" * 32]) == frozenset()
    assert list(adapter.found()) == []
    assert adapter.history("u1") is None
    assert b"".join(adapter.output("u1")) == b""


def test_a_deployed_revision_is_there_for_every_process_and_may_be_deployed_again(harness: Harness) -> None:
    revision, code = harness.revision("echo"), harness.code("echo")
    harness.open().deploy(revision, code, lambda _: None)

    harness.open().deploy(revision, code, lambda _: None)

    assert harness.open().deployed([revision.digest, "y" * 32]) == frozenset({revision.digest})
    harness.open().retire(revision.digest)
    harness.open().retire(revision.digest)
    assert harness.open().deployed([revision.digest]) == frozenset()


def test_a_revision_that_was_altered_is_told_by_every_process_until_it_is_deployed_again(harness: Harness) -> None:
    revision, code = harness.revision("echo"), harness.code("echo")
    harness.open().deploy(revision, code, lambda _: None)
    before = harness.open().altered([revision.digest])

    harness.alter(revision.digest)
    told = [harness.open().altered([revision.digest], deep=deep) for deep in (False, True)]
    harness.open().deploy(revision, code, lambda _: None)

    assert before == {}
    assert [set(one) for one in told] == [{revision.digest}] * 2
    assert harness.open().deployed([revision.digest]) == {revision.digest}
    assert harness.open().altered([revision.digest], deep=True) == {}


def called(adapter: Adapter) -> Sequence[str]:
    """Return the keys of the calls that the run has made."""
    history = adapter.history("u1")
    return [] if history is None else list(history.calls)


def test_a_revision_is_replaced_under_a_living_worker_and_runs_go_on_with_its_code(harness: Harness) -> None:
    adapter = harness.open()
    harness.start(adapter, "work")
    harness.until(adapter, "u1", lambda seen: isinstance(seen, Live) and bool(called(adapter)))  # its worker has read the code
    harness.alter(harness.revision("work").digest)

    harness.open().deploy(harness.revision("work"), harness.code("work"), lambda _: None)

    assert isinstance(harness.open().observe({"u1": 1})["u1"], Live)
    harness.kill_worker("u1")
    harness.until(adapter, "u1", lambda seen: isinstance(seen, Gone))
    harness.start(adapter, "work", claim=2)
    harness.until(adapter, "u1", lambda seen: isinstance(seen, Live) and seen.seen.claim == 2, claim=2)


def test_what_is_not_there_was_not_altered_and_giving_up_what_nobody_deploys_is_fine(harness: Harness) -> None:
    adapter = harness.open()

    adapter.abandon("x" * 32)

    assert adapter.altered(["x" * 32], deep=True) == {}


def test_a_run_is_carried_out_and_its_end_is_read_by_any_process(harness: Harness) -> None:
    outcome = harness.start(harness.open(), "echo", value={"name": "World"})

    seen = harness.until(harness.open(), "u1", finished)

    assert outcome == Ordered("u1")
    assert isinstance(seen, Finished)
    assert (seen.status, seen.output) == (Status.COMPLETED, {"name": "World"})
    assert seen.seen.claim == 1
    assert b"".join(harness.open().output("u1")) == b"hello\n"
    assert b"".join(harness.open().output("u1", 2)) == b"llo\n"


def test_a_failure_is_an_end_with_an_error(harness: Harness) -> None:
    harness.start(harness.open(), "fail")

    seen = harness.until(harness.open(), "u1", finished)

    assert isinstance(seen, Finished)
    assert seen.status is Status.FAILED
    assert seen.error["message"] == "no"


def test_I9_the_same_order_again_starts_nothing(harness: Harness) -> None:
    harness.start(harness.open(), "echo")
    harness.until(harness.open(), "u1", finished)

    again = harness.open().start([harness.order("echo")], lambda _: None)

    assert again == [Ordered("u1", adopted=True)]
    history = harness.open().history("u1")
    assert history is not None
    assert history.claims == 1


def test_another_spec_under_the_same_uid_is_refused(harness: Harness) -> None:
    harness.start(harness.open(), "echo")
    harness.until(harness.open(), "u1", finished)

    outcome = harness.open().start([harness.order("echo", spec_hash="h2")], lambda _: None)[0]

    assert isinstance(outcome, Refused)
    assert (outcome.reason, outcome.again) == ("conflict", False)


def test_a_long_sleep_parks_and_holds_no_worker(harness: Harness) -> None:
    harness.start(harness.open(), "park")

    seen = harness.until(harness.open(), "u1", lambda seen: isinstance(seen, LetGo))

    assert isinstance(seen, LetGo)
    assert (seen.reason, seen.status) == ("parked", Status.SLEEPING)
    assert seen.due_at is not None


def test_the_next_claim_of_a_parked_run_goes_on_from_its_journal(harness: Harness) -> None:
    harness.start(harness.open(), "park")
    first = harness.until(harness.open(), "u1", lambda seen: isinstance(seen, LetGo))

    outcome = harness.open().start([harness.order("park", claim=2)], lambda _: None)[0]
    second = harness.until(harness.open(), "u1", lambda seen: isinstance(seen, LetGo), claim=2)

    assert outcome == Ordered("u1")
    assert isinstance(first, LetGo)
    assert isinstance(second, LetGo)
    assert second.seen.claim == 2
    assert first.seen.started_at == second.seen.started_at


def test_a_living_worker_is_seen_and_its_death_too(harness: Harness) -> None:
    harness.start(harness.open(), "work")
    harness.until(harness.open(), "u1", lambda seen: isinstance(seen, Live) and bool(harness.open().history("u1").calls))  # type: ignore[union-attr]

    harness.kill_worker("u1")
    seen = harness.until(harness.open(), "u1", lambda seen: not isinstance(seen, Live))

    assert isinstance(seen, Gone)
    assert seen.seen.barren == 1


def test_a_worker_that_ends_without_an_end_of_its_run_is_gone(harness: Harness) -> None:
    harness.start(harness.open(), "crash")

    seen = harness.until(harness.open(), "u1", lambda seen: isinstance(seen, Gone))

    assert isinstance(seen, Gone)
    assert seen.seen.claim == 1


def test_a_decided_claim_that_was_never_ordered_is_unclaimed(harness: Harness) -> None:
    harness.start(harness.open(), "park")
    harness.until(harness.open(), "u1", lambda seen: isinstance(seen, LetGo))

    seen = harness.open().observe({"u1": 2})["u1"]

    assert isinstance(seen, Unclaimed)
    assert not seen.ordered


def test_I16_a_cancel_message_ends_a_living_run_and_is_taken_once(harness: Harness) -> None:
    adapter = harness.open()
    harness.start(adapter, "work")
    harness.until(adapter, "u1", lambda seen: isinstance(seen, Live))
    message = {"type": "cancel", "id": "cancel-u1", "reason": "enough"}

    adapter.send("u1", message)
    harness.open().send("u1", message)
    harness.open().kill("u1") if harness.runtime == "python" and isinstance(harness, Exec) else None  # a blocking body is killed in the end

    seen = harness.until(harness.open(), "u1", lambda seen: isinstance(seen, Finished | Gone))
    if isinstance(seen, Gone):
        seen = harness.open().end("u1", 2, harness.order("work").first, {"status": "canceled", "reason": "enough", "at": now()})
    assert isinstance(seen, Finished)
    assert seen.status is Status.CANCELED


def parked(seen: Observation) -> bool:
    return isinstance(seen, LetGo) and seen.reason == "parked"


@pytest.mark.parametrize(("behaviour", "kind"), [("parent", "child"), ("tell", "send")])
def test_what_a_run_asks_of_others_is_seen_until_it_is_answered(harness: Harness, behaviour: str, kind: str) -> None:
    harness.start(harness.open(), behaviour)
    seen = harness.until(harness.open(), "u1", parked)

    assert isinstance(seen, LetGo)
    (ask,) = seen.seen.asks
    assert (ask.kind, ask.attempt) == (kind, 1)
    assert seen.status is Status.WAITING
    wanted: dict[str, Any] = {"child": {"workflow": "echo", "input": "u1"}, "send": {"run": "a", "signal": "go", "data": 1}}
    assert wanted[kind].items() <= ask.request.items()


def test_a_message_for_a_parked_run_is_mail_until_a_claim_has_read_it(harness: Harness) -> None:
    harness.start(harness.open(), "wait")
    before = harness.until(harness.open(), "u1", parked)
    for _ in range(2):
        harness.open().send("u1", {"type": "signal", "id": "s1", "name": "go", "data": {"n": 1}})
    after = harness.open().observe({"u1": 1})["u1"]

    harness.start(harness.open(), "wait", claim=2)
    end = harness.until(harness.open(), "u1", finished, claim=2)

    assert isinstance(before, LetGo)
    assert isinstance(after, LetGo)
    assert (before.seen.mail, after.seen.mail) == (False, True)
    assert isinstance(end, Finished)
    assert end.output["data"] == {"n": 1}


def test_a_message_that_nobody_waits_for_wakes_once(harness: Harness) -> None:
    harness.start(harness.open(), "wait")
    harness.until(harness.open(), "u1", parked)
    harness.open().send("u1", {"type": "signal", "id": "s1", "name": "other", "data": None})

    harness.start(harness.open(), "wait", claim=2)
    seen = harness.until(harness.open(), "u1", lambda one: parked(one) and isinstance(one, LetGo) and one.seen.claim == 2, claim=2)

    assert isinstance(seen, LetGo)
    assert not seen.seen.mail


def test_I16_a_parked_run_that_undoes_something_does_so_under_its_next_claim(harness: Harness) -> None:
    harness.start(harness.open(), "undo")
    seen = harness.until(harness.open(), "u1", parked)
    harness.open().send("u1", {"type": "cancel", "id": "c1", "reason": "enough"})

    harness.start(harness.open(), "undo", claim=2)
    end = harness.until(harness.open(), "u1", finished, claim=2)

    assert isinstance(seen, LetGo)
    assert seen.seen.undoes
    assert isinstance(end, Finished)
    assert (end.status, end.reason) == (Status.CANCELED, "enough")
    undone = [record["key"] for record in harness.open().records("u1") if record["type"] == "completed"]
    assert undone == ["work", "work~compensate"]


def test_a_replay_says_whether_a_journal_fits_and_leaves_nothing(harness: Harness) -> None:
    harness.start(harness.open(), "echo")
    harness.until(harness.open(), "u1", finished)
    before = harness.open().records("u1")

    verdict = harness.open().replay("u1", harness.revision("echo"), lambda _: None)

    assert (verdict.fits, verdict.asked, verdict.recorded) == (True, 1, 1)
    assert harness.open().records("u1") == before


def test_I5_an_end_written_by_the_reconciler_counts_once(harness: Harness) -> None:
    harness.start(harness.open(), "park")
    harness.until(harness.open(), "u1", lambda seen: isinstance(seen, LetGo))
    first = harness.order("park").first

    one = harness.open().end("u1", 2, first, {"status": "canceled", "reason": "canceled", "at": now()})
    two = harness.open().end("u1", 3, first, {"status": "failed", "reason": "timeout", "at": now()})

    assert one.status is two.status is Status.CANCELED
    assert harness.open().start([harness.order("park", claim=4)], lambda _: None) == [Ordered("u1", adopted=True)]


def test_I7_no_end_is_written_while_a_worker_lives(harness: Harness) -> None:
    harness.start(harness.open(), "work")
    harness.until(harness.open(), "u1", lambda seen: isinstance(seen, Live))

    with pytest.raises(UnavailableError):
        harness.open().end("u1", 2, harness.order("work").first, {"status": "failed", "reason": "timeout", "at": now()})


def test_a_run_that_never_started_gets_its_end_too(harness: Harness) -> None:
    end = harness.open().end("u9", 1, harness.order("park", uid="u9").first, {"status": "skipped", "reason": "start-deadline", "at": now()})

    assert end.status is Status.SKIPPED
    assert isinstance(harness.open().observe({"u9": 0})["u9"], Finished)


def test_every_run_is_found_again_with_what_it_was_ordered_with(harness: Harness) -> None:
    for uid in ("u1", "u2", "u3"):
        harness.start(harness.open(), "echo", uid)

    found = {run.uid: run.order["spec_hash"] for run in harness.open().found()}

    assert found == {"u1": "h1", "u2": "h1", "u3": "h1"}
    for uid in found:
        harness.until(harness.open(), uid, finished)
        harness.open().remove(uid)
    assert list(harness.open().found()) == []


def test_changes_are_told_and_forgotten(harness: Harness) -> None:
    adapter = harness.open()
    harness.start(adapter, "echo")
    harness.until(adapter, "u1", finished)

    told = adapter.drain_changes()

    assert "u1" in told
    select.select([], [], [], 0.05)
    adapter.drain_changes()
    assert "u1" not in adapter.drain_changes()


def test_twenty_orders_in_one_call_are_all_carried_out(harness: Harness) -> None:
    adapter = harness.open()
    adapter.deploy(harness.revision("echo"), harness.code("echo"), lambda _: None)
    uids = [f"u{number}" for number in range(20)]

    outcomes = adapter.start([harness.order("echo", uid, value=uid) for uid in uids], lambda _: None)

    assert outcomes == [Ordered(uid) for uid in uids]
    for uid in uids:
        seen = harness.until(adapter, uid, finished)
        assert isinstance(seen, Finished)
        assert seen.output == uid


def test_I4_a_damaged_journal_is_quarantined_and_its_bytes_are_kept(tmp_path: Path) -> None:
    harness = ExecPython(tmp_path)
    harness.start(harness.open(), "echo")
    harness.until(harness.open(), "u1", finished)
    journal = next((tmp_path / "exec/runs").glob("*.jsonl"))
    data = bytearray(journal.read_bytes())
    data[len(data) // 2] ^= 1
    journal.write_bytes(data)

    seen = harness.open().observe({"u1": 1})["u1"]

    assert isinstance(seen, Quarantined)
    assert journal.read_bytes() == bytes(data)


def test_the_end_of_one_run_does_not_take_down_the_worker_that_hosts_another(tmp_path: Path) -> None:
    harness = ExecPython(tmp_path)
    adapter = ExecAdapter(ExecSettings(str(tmp_path / "exec"), runs_per_worker=2))
    code = "import time\ndef workflow(input, ctx):\n    ctx.step('work', lambda: time.sleep(600) if input else 1)\n"
    adapter.deploy(harness.revision("echo"), {"workflow.py": code.encode()}, lambda _: None)
    adapter.start([harness.order("echo", "u1", value=True), harness.order("echo", "u2", value=False)], lambda _: None)
    harness.until(adapter, "u2", finished)

    adapter.kill("u2")

    assert isinstance(adapter.observe({"u1": 1})["u1"], Live)
    adapter.kill("u1")
    harness.until(adapter, "u1", lambda seen: isinstance(seen, Gone))


def test_a_worker_that_had_no_room_for_its_last_record_is_no_dead_one(tmp_path: Path) -> None:
    harness = ExecPython(tmp_path)
    harness.start(harness.open(), "work")
    harness.until(harness.open(), "u1", lambda seen: isinstance(seen, Live))
    history = harness.open().history("u1")
    assert history is not None
    lock = harness.folder / "workers" / history.worker / "lock"
    lock.chmod(lock.stat().st_mode | stat.S_ISVTX)
    harness.kill_worker("u1")

    seen = harness.open().observe({"u1": 1})["u1"]
    adapter = harness.open()
    harness.start(adapter, "work", claim=2)
    harness.until(adapter, "u1", lambda one: isinstance(one, Live), claim=2)

    assert isinstance(seen, LetGo)
    assert seen.reason == "no-space"
    claims = [record for record in adapter.records("u1") if record["type"] == "claim"]
    assert [record.get("before") for record in claims] == [None, "no-space"]
    after = adapter.history("u1")
    assert after is not None
    assert after.deaths == 0


def test_what_a_lost_database_needs_is_kept_beside_a_revision_until_it_is_retired(harness: Harness) -> None:
    harness.start(harness.open(), "echo", "u1")
    revision = harness.order("echo", uid="u1").revision

    for _ in range(2):
        harness.open().describe(revision)

    assert harness.open().described(revision.digest) == revision
    assert harness.open().described("0" * 32) is None


def test_an_inbox_can_be_read_back_in_its_order(harness: Harness) -> None:
    harness.start(harness.open(), "wait", "u1")
    sent = [{"type": "signal", "id": f"s{number}", "name": "other", "data": number} for number in range(3)]

    for message in sent:
        harness.open().send("u1", message)

    assert harness.open().messages("u1") == sent
    assert harness.open().messages("nobody") == []


def test_an_inventory_has_every_run_and_revision_with_nothing_wrong(harness: Harness) -> None:
    for uid in ("u1", "u2"):
        harness.start(harness.open(), "echo", uid)
        harness.until(harness.open(), uid, finished)

    found = harness.open().inventory()

    assert found.runs == {"u1": None, "u2": None}
    assert harness.order("echo", uid="u1").revision.digest in found.revisions
    assert found.strays == ()
