"""What the code of a case may use beside its calls: gates that the test opens, effects that it counts, and crashes."""

import asyncio
import inspect
import os
import signal
import time

LOOK = 0.002


class Tools:
    """The tools of one run."""

    def __init__(self, run: str) -> None:
        self._prefix = f"{os.environ['CONFORMANCE']}/{run}."

    def gate(self, name: str) -> None:
        """Wait until the test opens a gate; for bodies of steps."""
        while not os.path.exists(f"{self._prefix}gate.{name}"):
            time.sleep(LOOK)

    outside = gate

    def effect(self, name: str) -> None:
        """Leave a mark that the test counts."""
        with open(f"{self._prefix}effects", "a") as file:
            file.write(f"{name}\n")

    def crash(self, name: str = "crash") -> None:
        """Kill the process, the first time that this is called with that name."""
        path = f"{self._prefix}crashed.{name}"
        if os.path.exists(path):
            return
        open(path, "w").close()
        os.kill(os.getpid(), signal.SIGKILL)

    def fail(self, name: str, message: str, **fields: object) -> None:
        """Raise an error of that name."""
        error = type(name, (Exception,), {})(message)
        vars(error).update(fields)
        raise error


class AsyncTools(Tools):
    """The tools of one run whose code is asynchronous."""

    async def outside(self, name: str) -> None:  # type: ignore[override]
        """Wait between steps until the test opens a gate: something foreign that the code waits for."""
        while not os.path.exists(f"{self._prefix}gate.{name}"):
            await asyncio.sleep(LOOK)

    async def parallel(self, *branches: object) -> list[object]:
        """Do what `ctx.parallel` does for synchronous code."""
        return list(await asyncio.gather(*map(_branch, branches)))


async def _branch(function: object) -> object:
    result = function()  # type: ignore[operator]
    return await result if inspect.isawaitable(result) else result
