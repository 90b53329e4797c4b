"""What a workflow function gets beside its input."""

from __future__ import annotations

import os

from ty_worker.calls import check_name
from ty_worker.durations import milliseconds
from ty_worker.errors import NonRetryableError
from ty_worker.functions import check_function, is_async, wants_context
from ty_worker.policy import retry_policy
from ty_worker.sleeps import SleepCall
from ty_worker.steps import StepCall

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping
    from typing import Any, NoReturn

    from ty_worker.loops import Loops
    from ty_worker.policy import Settings
    from ty_worker.threads import Threads

_STEP, _SLEEP = "ctx.step(name, fn)", "ctx.sleep(name, duration)"


class RunInfo:
    """The run, read-only: `id`, `uid`, `incarnation`, `revision`, `version`, `folder`."""

    __slots__ = ("_folder", "id", "incarnation", "revision", "uid", "version")

    def __init__(self, order: Mapping[str, Any], folder: str) -> None:
        keep = object.__setattr__
        keep(self, "id", order["run"])
        for name in ("uid", "incarnation", "revision", "version"):
            keep(self, name, order.get(name))
        keep(self, "_folder", folder)

    @property
    def folder(self) -> str:
        """A folder of the run's own, made when it is first asked for, kept as long as the journal."""
        os.makedirs(self._folder, mode=0o700, exist_ok=True)  # type: ignore[attr-defined]
        return self._folder  # type: ignore[attr-defined,no-any-return]

    def __setattr__(self, name: str, value: object) -> NoReturn:
        message = f"ctx.run is read-only: {name} cannot be set"
        raise AttributeError(message)


class _Calls:
    """Checks the arguments of calls."""

    NonRetryableError = NonRetryableError

    def __init__(self, settings: Settings, run: RunInfo) -> None:
        self._settings = settings
        self.run = run

    def _step(self, name: object, fn: object, retry: object, timeout: object) -> StepCall:
        settings = self._settings
        text = check_name(name, _STEP)
        function = check_function(fn, f"{_STEP}: fn")
        policy = settings.step_retry if retry is None else retry_policy(retry, settings.step_retry, f"{_STEP}: retry")
        timeout_ms = settings.timeout_ms if timeout is None else milliseconds(timeout, f"{_STEP}: timeout")
        return StepCall(text, function, policy, timeout_ms, wants_context=wants_context(function))

    @staticmethod
    def _sleep(name: object, duration: object) -> SleepCall:
        return SleepCall(check_name(name, _SLEEP), milliseconds(duration, f"{_SLEEP}: duration"))


class Context(_Calls):
    """The calls of a synchronous workflow."""

    def __init__(self, front: Threads, settings: Settings, run: RunInfo) -> None:
        super().__init__(settings, run)
        self._front = front

    def step(self, name: str, fn: Callable[..., Any], *, retry: Mapping[str, Any] | None = None, timeout: float | str | None = None) -> Any:
        """Run `fn` once and for all, and return what it returned; a replay returns the same without running it.

        A try that takes longer than `timeout` fails by the clock. Its thread is left to itself, since Python cannot end it: the code goes on
        in another one, where it is replayed up to this step.
        """
        if is_async(fn):
            message = f"{_STEP}: fn is an async function: write `async def workflow(input, ctx)` and `await ctx.step(...)`"
            raise TypeError(message)
        return self._front.perform(self._step(name, fn, retry, timeout))

    def sleep(self, name: str, duration: float | str) -> None:
        """Sleep for seconds, or a duration such as "1h30m"; the process need not live as long."""
        self._front.perform(self._sleep(name, duration))

    def parallel(self, *branches: Any) -> list[Any]:
        """Run functions without arguments side by side, and return their results in order; the first failure is raised at once."""
        if len(branches) == 1 and isinstance(branches[0], (list, tuple)):
            branches = tuple(branches[0])
        for number, branch in enumerate(branches, 1):
            check_function(branch, f"ctx.parallel(*branches): branch {number}")
            if is_async(branch):
                message = f"ctx.parallel(*branches): branch {number} is an async function: write `async def workflow(input, ctx)` and asyncio.gather"
                raise TypeError(message)
        return self._front.parallel(branches)


class AsyncContext(_Calls):
    """The calls of an asynchronous workflow: they return awaitables."""

    def __init__(self, front: Loops, settings: Settings, run: RunInfo) -> None:
        super().__init__(settings, run)
        self._front = front

    def step(
        self, name: str, fn: Callable[..., Any], *, retry: Mapping[str, Any] | None = None, timeout: float | str | None = None
    ) -> Coroutine[Any, Any, Any]:
        """Run `fn` once and for all, and give what it returned; a replay gives the same without running it.

        A try that takes longer than `timeout` fails by the clock: a coroutine is canceled, a function in a thread is left to itself.
        """
        return self._front.perform(self._step(name, fn, retry, timeout))

    def sleep(self, name: str, duration: float | str) -> Coroutine[Any, Any, None]:
        """Sleep for seconds, or a duration such as "1h30m"; the process need not live as long."""
        return self._front.perform(self._sleep(name, duration))

    def parallel(self, *_branches: object) -> NoReturn:
        """Refuse: asyncio has this."""
        message = "ctx.parallel is for `def workflow`; in `async def workflow` write `await asyncio.gather(...)`"
        raise TypeError(message)
