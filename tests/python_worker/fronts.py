"""Workflows for both fronts: written as `async def`, and read without `async` and `await` for threads."""

from collections.abc import Mapping
from typing import Any

from reconciler.history import History
from tests.python_worker.conftest import MakeBench
from tests.support.workers import Bench, Worker, until

FRONTS = ["threads", "asyncio"]
_PRELUDE = {
    "threads": "import asyncio, os, time\ndef both(ctx, *branches):\n    return ctx.parallel(*branches)\n",
    "asyncio": "import asyncio, os, time\nasync def both(ctx, *branches):\n    return await asyncio.gather(*[branch() for branch in branches])\n",
}


def written(text: str, front: str) -> str:
    """Return the code of a workflow for one front; `both(ctx, f, g)` runs branches in either."""
    return _PRELUDE[front] + (text if front == "asyncio" else text.replace("async ", "").replace("await ", ""))


class Runs:
    """Runs of one workflow, each by one real worker at a time."""

    def __init__(self, bench: MakeBench, text: str, front: str) -> None:
        self.bench: Bench = bench(written(text, front))
        self.worker: Worker

    def begin(self, value: Any = None, *, settings: Mapping[str, Any] | None = None, **spawn: Any) -> None:
        """Create the run `u` and order it in a worker."""
        self.bench.create("u", value, settings)
        self.go_on(**spawn)

    def go_on(self, before: str | None = None, **spawn: Any) -> None:
        """Order the next claim in a new worker, which waits long for messages unless that is what is tested."""
        self.worker = self.bench.spawn(uid="u", **{"linger_ms": 30_000, **spawn})
        self.bench.cut("u")
        order = {"type": "order", "uid": "u", "claim": self.bench.history("u").claim + 1, "prefix": self.bench.prefix("u")}
        self.worker._line({**order, "before": before} if before else order)
        self.worker.wake()

    def end(self, timeout: float = 20) -> History:
        """Wait for the end of the worker."""
        self.worker.wait(timeout)
        return self.history()

    def kill(self) -> None:
        """Kill the worker."""
        self.worker.kill()
        self.worker.wait()

    def history(self) -> History:
        """Return what the journal tells."""
        return self.bench.history("u")

    def output(self) -> Any:
        """Wait for the end of the run, and return its output."""
        finished = self.end().finished
        assert finished is not None and finished["status"] == "completed", finished
        return finished["output"]

    def send(self, **message: Any) -> None:
        """Put a message into the inbox, and wake the worker."""
        self.bench.send("u", message)
        self.worker.wake()

    def signal(self, name: str, data: Any = None) -> None:
        """Send a signal."""
        self.send(type="signal", id=f"{name}-{data}", name=name, data=data)

    def written(self, *parts: str) -> None:
        """Wait until the journal holds these texts."""
        until(lambda: all(part.encode() in self.bench.journal("u") for part in parts))

    def records(self, kind: str = "", key: str = "") -> list[Mapping[str, Any]]:
        """Return the records that count, of one type or about one key."""
        return [record for record in self.bench.records("u") if kind in ("", record["type"]) and key in ("", record.get("key"))]

    def types(self) -> list[str]:
        """Return the types of the records, without the first and the claims."""
        return [record["type"] for record in self.bench.records("u") if record["type"] not in ("order", "claim")]
