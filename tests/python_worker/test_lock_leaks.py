"""The lock of a worker is free as soon as the worker is dead, whatever children it has left."""

import os
import signal
from pathlib import Path

import pytest

from tests.python_worker.conftest import MakeBench
from tests.python_worker.test_sequential import types
from tests.support.workers import NODE, Bench, until

_SLEEP = '["sleep", "30"]'
_SPAWNERS = {
    "os.fork": "pid = os.fork()\n        if pid == 0:\n            time.sleep(30)\n            os._exit(0)",
    "double fork": "pid = os.fork()\n        if pid == 0:\n            os.setsid()\n            inner = os.fork()\n            if inner: os._exit(0)\n            time.sleep(30)",
    "os.posix_spawn": f'pid = os.posix_spawn("/bin/sleep", {_SLEEP}, dict(os.environ))',
    "os.posix_spawn detached": f'pid = os.posix_spawn("/bin/sleep", {_SLEEP}, dict(os.environ), setsid=True)',
    "subprocess": f"subprocess.Popen({_SLEEP})",
    "subprocess close_fds=False": f"subprocess.Popen({_SLEEP}, close_fds=False)",
    "subprocess detached": f"subprocess.Popen({_SLEEP}, close_fds=False, start_new_session=True)",
    "os.system": 'os.system("sleep 30 &")',
    "multiprocessing fork": 'multiprocessing.get_context("fork").Process(target=time.sleep, args=(30,)).start()',
    "multiprocessing spawn": 'multiprocessing.get_context("spawn").Process(target=time.sleep, args=(30,)).start()',
    "multiprocessing forkserver": 'multiprocessing.get_context("forkserver").Process(target=time.sleep, args=(30,)).start()',
    "pool": 'pool = multiprocessing.get_context("fork").Pool(2)\n        keep.append(pool)\n        pool.apply_async(time.sleep, (30,))',
    "executor": "pool = concurrent.futures.ProcessPoolExecutor(2)\n        keep.append(pool)\n        pool.submit(time.sleep, 30)",
}
_CODE = """
import concurrent.futures, multiprocessing, os, subprocess, time
keep = []
def workflow(input, ctx):
    def body():
        {spawner}
        time.sleep(0.2)
        open(input, "w").close()
        time.sleep(30)
    ctx.step("s", body)
"""


def _marked(worker: str) -> list[int]:
    """Return the processes that carry the mark of a worker."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"TY_OPENWORKFLOW_WORKER={worker}\0".encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


_NODE_SPAWNERS = {
    "spawn": 'spawn("sleep", ["30"])',
    "spawn stdio inherit": 'spawn("sleep", ["30"], { stdio: "inherit" })',
    "spawn detached": 'spawn("sleep", ["30"], { detached: true, stdio: "ignore" }).unref()',
    "spawn shell": 'spawn("sleep 30", { shell: true, stdio: "inherit" })',
    "exec": 'exec("sleep 30")',
    "execFile": 'execFile("sleep", ["30"])',
    "fork": "fork(input.child)",
    "fork detached": 'fork(input.child, { detached: true, stdio: "ignore" }).unref()',
}
_NODE_CODE = """
import { exec, execFile, fork, spawn } from "node:child_process";
import fs from "node:fs";
export async function workflow(input, { step }) {
  await step("s", async () => {
    const child = {spawner};
    await new Promise((resolve) => setTimeout(resolve, 300));
    fs.writeFileSync(input.mark, "");
    await new Promise((resolve) => setTimeout(resolve, 30000));
  });
}
"""


def _check(made: Bench, value: object, mark: Path, capacity: int) -> None:
    """Kill a worker that has a child, and see that nothing holds its lock or its pipe."""
    made.create("u", value)
    worker = made.spawn(uid="u", capacity=capacity)
    worker.order("u", 1)
    until(mark.exists)
    try:
        assert worker.alive()
        assert [pid for pid in _marked(worker.id) if pid != worker.pid], "the child that this is about has gone already"
        worker.kill()
        worker.wait()
        assert not worker.alive()
        with pytest.raises(OSError, match="No such device"):  # nobody holds the read end of the pipe
            os.open(worker.folder / "wake", os.O_WRONLY | os.O_NONBLOCK)
    finally:
        for pid in _marked(worker.id):
            os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("way", _SPAWNERS)
@pytest.mark.parametrize("capacity", [1, 2])
def test_i7_a_killed_worker_leaves_its_lock_free_at_once(bench: MakeBench, way: str, capacity: int) -> None:
    made = bench(_CODE.replace("{spawner}", _SPAWNERS[way]))

    _check(made, str(made.folder / "mark"), made.folder / "mark", capacity)


@pytest.mark.skipif(NODE is None, reason="there is no node here")
@pytest.mark.parametrize("way", _NODE_SPAWNERS)
@pytest.mark.parametrize("capacity", [1, 2])
def test_i7_a_killed_node_worker_leaves_its_lock_free_at_once(tmp_path: Path, way: str, capacity: int) -> None:
    made = Bench(
        tmp_path, {"main.mjs": _NODE_CODE.replace("{spawner}", _NODE_SPAWNERS[way]), "child.mjs": "setTimeout(() => {}, 30000);\n"}, runtime="node"
    )

    _check(made, {"mark": str(tmp_path / "mark"), "child": str(tmp_path / "code/child.mjs")}, tmp_path / "mark", capacity)


@pytest.mark.parametrize("where", ["step", "body", "branch"])
@pytest.mark.parametrize("is_async", [False, True])
def test_a_forked_child_that_comes_back_writes_nothing(bench: MakeBench, where: str, *, is_async: bool) -> None:
    if is_async and where == "branch":
        pytest.skip("there are no branches")
    await_, async_ = ("await ", "async ") if is_async else ("", "")
    made = bench(f"""
import os, time
{async_}def workflow(input, ctx):
    def forks():
        pid = os.fork()
        if pid:
            return os.waitpid(pid, 0)[1] >> 8
        return "child"
    if input == "step":
        status = {await_}ctx.step("s", forks)
    elif input == "body":
        status = forks()
    else:
        status = ctx.parallel(forks)[0]
    {await_}ctx.step("after", lambda: None)
    return status
""")
    history = made.run("u", where)

    assert history.finished is not None and history.finished["output"] == 1
    assert types(made.records("u")) == ["requested", "completed"] * (2 if where == "step" else 1) + ["finished"]
    assert made.history("u").skipped == 0
    assert "a forked child returned into the workflow" in (made.folder / "runs/u.output.log").read_text()


def test_a_forked_child_ends_on_sigterm(bench: MakeBench) -> None:
    made = bench("""
import multiprocessing, time
def workflow(input, ctx):
    def body():
        child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(30,))
        child.start()
        time.sleep(0.1)
        child.terminate()
        child.join(5)
        return child.exitcode
    return ctx.step("s", body)
""")

    assert made.run("u").finished["output"] == -signal.SIGTERM  # type: ignore[index]
