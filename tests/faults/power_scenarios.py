"""What a reconciler does around the runs of one scenario, as a process of its own: `python power_scenarios.py SCENARIO LANGUAGE FOLDER`.

It tells the observer in FOLDER/side what it has been promised: `ordered UID`, `sent UID ID`, `deployed DIGEST`, `ended UID STATUS`.
"""

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from adapters import runfiles
from adapters.exec import ExecAdapter
from adapters.placing import ExecSettings
from reconciler.compute import Finished, Gone, LetGo, Order, Ordered, Revision
from reconciler.journal import encode_line
from tests.faults.programs import EXTENSION, Program
from tests.support.workers import SETTINGS, merged, now

STEPS = Program(
    'def workflow(input, ctx):\n    return [do(ctx, f"s{n}", {"n": n, "text": "ü" * 20}) for n in range(4)]\n',
    "async function workflow(input, api) {\n  const got = [];\n"
    '  for (let n = 0; n < 4; n++) got.push(await act(api, `s${n}`, { n, text: "ü".repeat(20) }));\n  return got;\n}\n',
    [{"n": n, "text": "ü" * 20} for n in range(4)],
)
PARALLEL = Program(
    'def workflow(input, ctx):\n    return ctx.parallel(*[lambda b=b: [do(ctx, f"p{b}-{n}", b, lasts=b / 200) for n in range(2)] for b in range(3)])\n',
    "async function workflow(input, api) {\n"
    "  return Promise.all([0, 1, 2].map(async (b) => [await act(api, `p${b}-0`, b, 0, b / 200), await act(api, `p${b}-1`, b)]));\n}\n",
    [[b, b] for b in range(3)],
)
SLEEPS = Program(
    'def workflow(input, ctx):\n    ctx.sleep("nap", 0.003)\n    got = [do(ctx, "again", 1, fails=2)]\n    ctx.sleep("doze", 0.05)\n    return got + [do(ctx, "z", 2)]\n',
    'async function workflow(input, api) {\n  await api.sleep("nap", 3);\n  const got = [await act(api, "again", 1, 2)];\n  await api.sleep("doze", 50);\n'
    '  return [...got, await act(api, "z", 2)];\n}\n',
    [1, 2],
)
BODY = Program(
    """\
def workflow(input, ctx):
    got = [do(ctx, f"b{n}", n) for n in range(3)]
    if not os.path.exists(ctx.run.folder + "/failed"):
        open(ctx.run.folder + "/failed", "x").close()
        raise RuntimeError("not yet")
    return got + [do(ctx, "late", "late")]
""",
    """\
async function workflow(input, api) {
  const got = [];
  for (let n = 0; n < 3; n++) got.push(await act(api, `b${n}`, n));
  if (!fs.existsSync(`${api.run.folder}/failed`)) {
    fs.writeFileSync(`${api.run.folder}/failed`, "");
    throw new RangeError("not yet");
  }
  return [...got, await act(api, "late", "late")];
}
""",
    [0, 1, 2, "late"],
    settings={"retry": {"max_attempts": 5, "initial_interval_ms": 3, "jitter": False}},
)
LONG = Program(
    'def workflow(input, ctx):\n    return [do(ctx, "one", 1), do(ctx, "two", 2, lasts=0.6), do(ctx, "three", 3)]\n',
    'async function workflow(input, api) {\n  return [await act(api, "one", 1), await act(api, "two", 2, 0, 0.6), await act(api, "three", 3)];\n}\n',
    [1, 2, 3],
    settings={"cancel": {"grace_ms": 30}},
)
DIGEST = "d" * 32
DIED = 9


def is_due(seen: LetGo) -> bool:
    """Say whether a run that was let go of wants its next claim."""
    return seen.reason != "parked" or (seen.due_at is not None and seen.due_at.timestamp() < time.time())


class Driver:
    """A reconciler with one workflow, and what it tells the observer."""

    def __init__(self, folder: Path, language: str, program: Program, **settings: Any) -> None:
        self.folder, self.language, self.program = folder, language, program
        made = ExecSettings(str(folder / "exec"), python=sys.executable, **{"linger_ms": 30, **settings})
        self.adapter = ExecAdapter(made)
        self.runs = folder / "exec/runs"
        self.claims: dict[str, int] = {}

    def say(self, text: str) -> None:
        fd = os.open(self.folder / "side", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.write(fd, f"{text}\n".encode())
        os.close(fd)

    def revision(self) -> Revision:
        return Revision(DIGEST, "w", self.language, EXTENSION[self.language])

    def deploy(self, code: dict[str, str] | None = None) -> None:
        self.adapter.deploy(
            self.revision(), {path: text.encode() for path, text in (code or self.program.code(self.language)).items()}, lambda _: None
        )

    def first(self, uid: str) -> dict[str, Any]:
        """Return the first record; it is the same whenever it is asked for, as intent in the database is."""
        return {
            "type": "order", "claim": 0, "seq": 1, "at": "2026-11-22T14:37:00.123Z", "protocol": 1, "uid": uid, "scope": "s", "project": "p",
            "environment": "e", "run": uid, "incarnation": 1, "workflow": "w", "revision": DIGEST, "version": "1", "spec_hash": "h", "owner": "o",
            "input": {"text": "grüße"}, "settings": merged(SETTINGS, self.program.settings or {}),
        }  # fmt: skip

    def start(self, *uids: str, claim: int = 1) -> None:
        self.claims |= dict.fromkeys(uids, claim)
        for outcome in self.adapter.start([Order(uid, claim, self.revision(), self.first(uid)) for uid in uids], lambda _: None):
            assert isinstance(outcome, Ordered), outcome
            self.say(f"ordered {outcome.uid}")

    def finish(self, *uids: str) -> None:
        """Do what it takes until the runs have ended, and say so."""
        left = set(uids)
        while left:
            for uid in sorted(left):
                seen = self.adapter.observe({uid: self.claims.get(uid, 1)})[uid]
                if isinstance(seen, Finished):
                    self.say(f"ended {uid} {seen.status.value}")
                    left.discard(uid)
                elif isinstance(seen, Gone) or (isinstance(seen, LetGo) and is_due(seen)):
                    self.start(uid, claim=seen.seen.claim + 1)
            time.sleep(0.004)

    def append(self, uid: str, *records: dict[str, Any]) -> None:
        """Write what a worker has written that died before its sync."""
        with open(self.runs / f"{uid}.journal.jsonl", "ab", buffering=0) as file:
            for seq, record in enumerate(records, 1):
                file.write(encode_line({"claim": 1, "seq": seq, "at": now(), **record}))

    def until(self, check: Callable[[], bool]) -> None:
        end = time.monotonic() + 20
        while not check():
            assert time.monotonic() < end
            time.sleep(0.004)

    def told(self, uid: str, text: str) -> bool:
        path = self.runs / f"{uid}.files/side"
        return path.exists() and text in path.read_text()

    def send(self, uid: str, name: str, **message: Any) -> None:
        self.adapter.send(uid, {"type": "signal", "id": name, "name": "go", "data": name, **message})
        self.say(f"sent {uid} {name}")


def dies_at_sync_of_folder(number: int, action: Callable[[], object]) -> None:
    """Do something in a process that is killed before it syncs a folder for the time `number`."""
    pid = os.fork()
    if pid == 0:
        real, left = runfiles.sync_folder, [number]

        def sync_folder(folder: str) -> None:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            real(folder)

        for module in [module for module in sys.modules.values() if getattr(module, "sync_folder", None) is real]:
            module.sync_folder = sync_folder  # type: ignore[attr-defined]
        action()
        os._exit(0)
    os.waitpid(pid, 0)


def steps(driver: Driver) -> None:
    driver.start("u")
    driver.finish("u")


def hosted(driver: Driver) -> None:
    uids = [f"u{number}" for number in range(3)]
    driver.start(*uids)
    driver.finish(*uids)


def fresh(driver: Driver) -> None:
    driver.deploy()
    driver.start("u")
    driver.finish("u")


def canceled(driver: Driver) -> None:
    driver.start("u")
    driver.until(lambda: driver.told("u", "effect u/two"))
    driver.send("u", "c", type="cancel", reason="enough")
    driver.finish("u")


def results_of_the_dead(driver: Driver) -> None:
    driver.adapter.start([], lambda _: None)
    assert runfiles.RunFiles(str(driver.runs / "u.")).create(driver.first("u"))
    runfiles.sync_folder(str(driver.runs))
    driver.append(
        "u",
        {"type": "claim", "worker": "dead", "after": 1},
        {"type": "requested", "key": "s0", "kind": "step", "after": 0, "try": 1},
        {"type": "completed", "key": "s0", "try": 1, "value": {"n": 0, "text": "ü" * 20}},
    )
    driver.start("u", claim=2)
    driver.finish("u")


def memo_of_the_dead(driver: Driver) -> None:
    driver.adapter.start([], lambda _: None)
    assert runfiles.RunFiles(str(driver.runs / "u.")).create(driver.first("u"))
    runfiles.sync_folder(str(driver.runs))
    driver.append(
        "u",
        {"type": "claim", "worker": "dead", "after": 1},
        {"type": "requested", "key": "b0", "kind": "step", "after": 0, "try": 1},
        {"type": "completed", "key": "b0", "try": 1, "value": 0},
        {"type": "body.failed", "attempt": 1, "error": {"name": "Error", "message": "not yet"}, "retry_at": now()},
    )
    driver.start("u", claim=2)
    driver.finish("u")


def end_of_the_dead(driver: Driver) -> None:
    driver.adapter.start([], lambda _: None)
    assert runfiles.RunFiles(str(driver.runs / "u.")).create(driver.first("u"))
    runfiles.sync_folder(str(driver.runs))
    driver.append("u", {"type": "claim", "worker": "dead", "after": 1}, {"type": "finished", "status": "completed", "output": driver.program.output})
    driver.finish("u")


def created_twice(driver: Driver) -> None:
    for number in (1, 2, 3):
        dies_at_sync_of_folder(number, lambda: driver.start("u"))
    driver.start("u")
    driver.finish("u")


def ended_by_the_reconciler(driver: Driver) -> None:
    driver.start("never")  # makes the folders
    driver.finish("never")
    for uid, status in (("none", "canceled"), ("dead", "failed")):
        if uid == "dead":
            assert runfiles.RunFiles(str(driver.runs / "dead.")).create(driver.first("dead"))
            runfiles.sync_folder(str(driver.runs))
            driver.append("dead", {"type": "claim", "worker": "dead", "after": 1})
        driver.adapter.end(uid, 2, driver.first(uid), {"status": status, "at": now(), "reason": "crash-limit"})
        driver.say(f"ended {uid} {status}")
    record = {"status": "canceled", "at": now(), "reason": "enough"}
    for uid in ("again", "twice"):
        dies_at_sync_of_folder(1, lambda uid=uid: driver.adapter.end(uid, 1, driver.first(uid), record))  # type: ignore[misc]
        driver.adapter.end(uid, 1, driver.first(uid), record)
        driver.say(f"ended {uid} canceled")


def sent(driver: Driver) -> None:
    driver.adapter.start([], lambda _: None)
    for uid in ("u", "v"):
        assert runfiles.RunFiles(str(driver.runs / f"{uid}.")).create(driver.first(uid))
    runfiles.sync_folder(str(driver.runs))
    for name in ("one", "two", "one", "three"):
        driver.send("u", name)
    for number in (1, 2, 3):
        dies_at_sync_of_folder(number, lambda: driver.adapter.send("v", {"type": "signal", "id": "four", "name": "go", "data": 4}))
        driver.send("v", "four")


def deployed(driver: Driver) -> None:
    code = {**driver.program.code(driver.language), "lib/deep/data.json": '{"a": 1}\n' * 40, "lib/empty.txt": "", "README": "x" * 5000}
    driver.deploy(code)
    driver.say(f"deployed {DIGEST}")


def deployed_twice(driver: Driver) -> None:
    for number in (3, 6, 7, 8):
        dies_at_sync_of_folder(number, lambda: deployed(driver))
    deployed(driver)


def deployed_with_packages(driver: Driver) -> None:
    package = driver.folder / "package"
    package.mkdir()
    (package / "package.json").write_text('{"name": "dep", "version": "1.0.0"}')
    (package / "index.js").write_text("module.exports = 1;\n")
    code = {**driver.program.code("node"), "package.json": f'{{"dependencies": {{"dep": "file:{package}"}}}}'}
    driver.deploy(code)
    driver.say(f"deployed {DIGEST}")


SCENARIOS: dict[str, tuple[Callable[[Driver], None], Program, dict[str, Any]]] = {
    "steps": (steps, STEPS, {}),
    "parallel": (steps, PARALLEL, {}),
    "sleep-and-retry": (steps, SLEEPS, {}),
    "park": (steps, SLEEPS, {"park_after_ms": 20}),
    "body-retry": (steps, BODY, {}),
    "hosted": (hosted, PARALLEL, {"runs_per_worker": 3}),
    "cancel": (canceled, LONG, {}),
    "results-of-the-dead": (results_of_the_dead, STEPS, {}),
    "memo-of-the-dead": (memo_of_the_dead, BODY, {}),
    "fresh": (fresh, STEPS, {}),
    "end-of-the-dead": (end_of_the_dead, STEPS, {}),
    "created-twice": (created_twice, STEPS, {}),
    "ended-by-the-reconciler": (ended_by_the_reconciler, STEPS, {}),
    "inbox": (sent, STEPS, {}),
    "deploy": (deployed, STEPS, {}),
    "deploy-twice": (deployed_twice, STEPS, {}),
    "deploy-with-packages": (deployed_with_packages, STEPS, {}),
}
NOTHING_BEFORE = ("fresh", "deploy", "deploy-twice", "deploy-with-packages")


def prepare(scenario: str, language: str, folder: Path) -> None:
    """Do what a scenario begins with, which no power cut touches."""
    _, program, settings = SCENARIOS[scenario]
    (folder / "exec").mkdir(parents=True)
    if scenario not in NOTHING_BEFORE:
        driver = Driver(folder, language, program, **settings)
        driver.deploy()
        shutil.rmtree(folder / "exec/workers", ignore_errors=True)


if __name__ == "__main__":
    carry_out, what, given = SCENARIOS[sys.argv[1]]
    carry_out(Driver(Path(sys.argv[3]), sys.argv[2], what, **given))
