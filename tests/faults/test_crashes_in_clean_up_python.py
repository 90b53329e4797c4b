"""A saga whose worker dies at every write and every sync: it is undone once and in order, and ends as it began to end."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.journal import encode_line
from tests.python_worker.crashes import CrashingRun

SAGA = """
import asyncio, os

def write(path, text):
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, (text + "\\n").encode())
    os.close(fd)

async def workflow(input, ctx):
    def effect(step):
        write(input["effects"], f"{step.key} {step.attempt}")
        return step.key
    def undo(result, step):
        assert step.key == result + "~compensate"
        effect(step)
    ctx.on_cancel(effect)
    ctx.now()
    for name in "abc":
        await ctx.step(name, effect, compensate=undo)
    if input["seed"]:
        os.makedirs(input["inbox"], exist_ok=True)
        if not os.path.exists(input["inbox"] + "/000001.json"):
            with open(input["inbox"] + "/000001.json", "wb") as file: file.write(bytes.fromhex(input["cancel"]))
        await ctx.wait_for_signal("never", timeout="20ms")
        await ctx.sleep("long", 60)
    raise ValueError("in the end")
"""
CLEAN_UP = ["c~compensate", "b~compensate", "a~compensate"]


class _Saga(CrashingRun):
    """A run of the saga; with `canceled` it is canceled in the end, else it fails."""

    def __init__(self, folder: Path, *, is_async: bool, canceled: bool) -> None:
        cancel = encode_line({"type": "cancel", "id": "1", "reason": "enough"}).hex()
        super().__init__(folder, int(canceled), is_async=is_async, inbox=f"{folder}/inbox", cancel=cancel)
        (folder / "code/main.py").write_text(SAGA if is_async else SAGA.replace("async def", "def").replace("await ", ""))

    def _send(self) -> None:
        """Send nothing: the saga cancels itself."""


def _crashes(folder: Path, *, is_async: bool, canceled: bool) -> Iterator[tuple[int, _Saga]]:
    """Give the run after a crash at the first write, at the second one, and so on, until there is none any more."""
    for number in range(1, 200):
        saga = _Saga(folder / str(number), is_async=is_async, canceled=canceled)
        if saga.claim_once(number):
            return
        saga.claim_once(max(1, number // 2))
        if saga.records()[-1]["type"] != "finished":
            assert saga.claim_once(0), (saga.folder / "log").read_text()
        yield number, saga


@pytest.mark.timeout(300)
@pytest.mark.parametrize("canceled", [False, True], ids=["failed", "canceled"])
@pytest.mark.parametrize("is_async", [False, True], ids=["threads", "asyncio"])
def test_i1_i16_a_saga_whose_worker_dies_at_every_write_is_undone_in_order(tmp_path: Path, *, is_async: bool, canceled: bool) -> None:
    crashes = 0
    for number, saga in _crashes(tmp_path, is_async=is_async, canceled=canceled):
        crashes += 1
        records, executed = saga.records(), [line.split()[0].removeprefix("u/") for line in saga.executed()]
        terminal = [record for record in records if record["type"] in ("ending", "finished")]
        wanted = [*(["ty/on-cancel~run"] if canceled else []), *CLEAN_UP]
        completed = [record["key"] for record in records if record["type"] == "completed" and "~" in record["key"]]

        assert completed == wanted, f"crash {number}"
        assert list(dict.fromkeys(key for key in executed if "~" in key)) == wanted, f"crash {number}"
        assert {record["status"] for record in terminal} == {"canceled" if canceled else "failed"}
        assert [record["type"] for record in terminal] == ["ending", "finished"]
        begun = next(index for index, record in enumerate(records) if record["type"] in ("canceling", "ending"))
        assert not [record for record in records[begun:] if record["type"] in ("requested", "started") and "~" not in record["key"]]
    assert crashes > 30
    print(f"{crashes} crashes")
