"""What a workflow function gets beside its input."""

from __future__ import annotations

import os

from ty_worker import options
from ty_worker.calls import check_name
from ty_worker.durations import milliseconds
from ty_worker.errors import NonRetryableError
from ty_worker.functions import check_function, is_async
from ty_worker.sleeps import SleepCall

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping
    from typing import Any, NoReturn

    from ty_worker.loops import Loops
    from ty_worker.policy import Settings
    from ty_worker.threads import Threads

_STEP, _SLEEP, _PARALLEL = "ctx.step(name, fn)", "ctx.sleep(name, duration)", "ctx.parallel(*branches)"


class RunInfo:
    """The run, read-only: `id`, `uid`, `incarnation`, `revision`, `version`, `folder`."""

    __slots__ = ("_folder", "_make", "id", "incarnation", "revision", "uid", "version")

    def __init__(self, order: Mapping[str, Any], folder: str, *, make: bool = True) -> None:
        """Make `folder` when it is first asked for, with `make`."""
        keep = object.__setattr__
        keep(self, "id", order["run"])
        for name in ("uid", "incarnation", "revision", "version"):
            keep(self, name, order.get(name))
        keep(self, "_folder", folder)
        keep(self, "_make", make)

    @property
    def folder(self) -> str:
        """A folder of the run's own, made when it is first asked for, kept as long as the journal."""
        if self._make:  # type: ignore[attr-defined]
            os.makedirs(self._folder, mode=0o700, exist_ok=True)  # type: ignore[attr-defined]
        return self._folder  # type: ignore[attr-defined,no-any-return]

    def __setattr__(self, name: str, value: object) -> NoReturn:
        message = f"ctx.run is read-only: {name} cannot be set"
        raise AttributeError(message)


class _Calls:
    """The calls that return at once, in both kinds of workflow."""

    NonRetryableError = NonRetryableError

    def __init__(self, front: Threads | Loops, settings: Settings, run: RunInfo) -> None:
        self._front, self._settings = front, settings
        self.run = run

    def now(self) -> float:
        """Return the time in seconds since 1970, as `time.time()` does; a replay returns the same."""
        from ty_worker.immediate import NowCall

        return self._front.note(NowCall()) / 1000  # type: ignore[no-any-return]

    def random(self, name: str | None = None) -> float:
        """Return a random number from 0 to 1; a replay returns the same."""
        from ty_worker.immediate import RandomCall

        return self._front.note(RandomCall(options.optional_name(name, "ctx.random(name)", "ty/random")))  # type: ignore[no-any-return]

    def uuid(self, name: str | None = None) -> str:
        """Return a random UUID as text; a replay returns the same."""
        from ty_worker.immediate import UuidCall

        return self._front.note(UuidCall(options.optional_name(name, "ctx.uuid(name)", "ty/uuid")))  # type: ignore[no-any-return]

    def patched(self, id: str) -> bool:
        """Say whether the new code may run: not where the journal was written by the old."""
        return self._front.patched(check_name(id, "ctx.patched(id)", "id"))

    def on_cancel(self, fn: Callable[..., Any]) -> None:
        """Call `fn` when the run is canceled; the last one given counts."""
        from contextvars import copy_context

        from ty_worker.immediate import OnCancelCall

        what = "ctx.on_cancel(fn)"
        self._front.note(OnCancelCall(self._fitting(check_function(fn, f"{what}: fn"), f"{what}: fn"), copy_context()))

    def _fitting(self, fn: Callable[..., Any], what: str) -> Callable[..., Any]:  # noqa: ARG002
        return fn


class Context(_Calls):
    """The calls of a synchronous workflow."""

    _front: Threads

    def step(self, name: str, fn: Callable[..., Any], **given: Any) -> Any:
        """Run `fn` once and for all, and return what it returned; a replay returns the same without running it.

        Options: `retry`, `timeout`, `heartbeat_timeout`, `on_in_doubt`, `compensate`. A try that takes longer than `timeout` fails by the
        clock. Its thread is left to itself, since Python cannot end it: the code goes on in another one, where it is replayed up to this step.
        """
        call = options.step(self._settings, name, self._fitting(fn, f"{_STEP}: fn"), given, _STEP)
        if call.compensate is not None:
            self._fitting(call.compensate, f"{_STEP}: compensate")
        return self._front.perform(call)

    def _fitting(self, fn: Callable[..., Any], what: str) -> Callable[..., Any]:
        if is_async(fn):
            message = f"{what} is an async function: write `async def workflow(input, ctx)` and `await ctx.step(...)`"
            raise TypeError(message)
        return fn

    def sleep(self, name: str, duration: float | str) -> None:
        """Sleep for seconds, or a duration such as "1h30m"; the process need not live as long."""
        self._front.perform(SleepCall(check_name(name, _SLEEP), milliseconds(duration, f"{_SLEEP}: duration")))

    def sleep_until(self, name: str, instant: object) -> None:
        """Sleep until an aware datetime, seconds since 1970 or text such as "2026-11-22T14:37:00Z"."""
        self._front.perform(options.sleep_until(name, instant))

    def wait_for_signal(
        self, signal: str, *, timeout: float | str | None = None, name: str | None = None, approval: Mapping[str, str] | None = None
    ) -> Any:
        """Return the data of the next signal of that name; None when the timeout came first.

        With `approval`, `{"title": ..., "description": ...}`, a person is asked to send it.
        """
        return self._front.perform(options.signal(signal, timeout, name, approval))

    def send_signal(self, run: str, signal: str, data: Any = None, *, name: str | None = None) -> None:
        """Send a signal to another run; it is in that run's inbox when this returns."""
        self._front.perform(options.send(self._settings, run, signal, data, name))

    def run_workflow(
        self, workflow: str, input: Any = None, *, name: str | None = None, timeout: float | str | None = None, on_cancel: str = "cancel"
    ) -> Any:
        """Start a child run, once, and return its output. Raises ChildError if it fails; `on_cancel` is "cancel" or "finish"."""
        return self._front.perform(options.child(self._settings, workflow, input, name, timeout, on_cancel))

    def parallel(self, *branches: Any) -> list[Any]:
        """Run functions without arguments side by side, and return their results in order; the first failure is raised at once."""
        if len(branches) == 1 and isinstance(branches[0], (list, tuple)):
            branches = tuple(branches[0])
        for number, branch in enumerate(branches, 1):
            check_function(branch, f"{_PARALLEL}: branch {number}")
            if is_async(branch):
                message = f"{_PARALLEL}: branch {number} is an async function: write `async def workflow(input, ctx)` and asyncio.gather"
                raise TypeError(message)
        return self._front.parallel(branches)


class AsyncContext(_Calls):
    """The calls of an asynchronous workflow: they return awaitables."""

    _front: Loops

    def step(self, name: str, fn: Callable[..., Any], **given: Any) -> Coroutine[Any, Any, Any]:
        """Run `fn` once and for all, and give what it returned; a replay gives the same without running it.

        Options: `retry`, `timeout`, `heartbeat_timeout`, `on_in_doubt`, `compensate`. A try that takes longer than `timeout` fails by the
        clock: a coroutine is canceled, a function in a thread is left to itself.
        """
        return self._front.perform(options.step(self._settings, name, fn, given, _STEP))

    def sleep(self, name: str, duration: float | str) -> Coroutine[Any, Any, None]:
        """Sleep for seconds, or a duration such as "1h30m"; the process need not live as long."""
        return self._front.perform(SleepCall(check_name(name, _SLEEP), milliseconds(duration, f"{_SLEEP}: duration")))

    def sleep_until(self, name: str, instant: object) -> Coroutine[Any, Any, None]:
        """Sleep until an aware datetime, seconds since 1970 or text such as "2026-11-22T14:37:00Z"."""
        return self._front.perform(options.sleep_until(name, instant))

    def wait_for_signal(
        self, signal: str, *, timeout: float | str | None = None, name: str | None = None, approval: Mapping[str, str] | None = None
    ) -> Coroutine[Any, Any, Any]:
        """Give the data of the next signal of that name; None when the timeout came first.

        With `approval`, `{"title": ..., "description": ...}`, a person is asked to send it.
        """
        return self._front.perform(options.signal(signal, timeout, name, approval))

    def send_signal(self, run: str, signal: str, data: Any = None, *, name: str | None = None) -> Coroutine[Any, Any, None]:
        """Send a signal to another run; it is in that run's inbox when this is done."""
        return self._front.perform(options.send(self._settings, run, signal, data, name))

    def run_workflow(
        self, workflow: str, input: Any = None, *, name: str | None = None, timeout: float | str | None = None, on_cancel: str = "cancel"
    ) -> Coroutine[Any, Any, Any]:
        """Start a child run, once, and give its output. Raises ChildError if it fails; `on_cancel` is "cancel" or "finish"."""
        return self._front.perform(options.child(self._settings, workflow, input, name, timeout, on_cancel))

    def parallel(self, *_branches: object) -> NoReturn:
        """Refuse: asyncio has this."""
        message = "ctx.parallel is for `def workflow`; in `async def workflow` write `await asyncio.gather(...)`"
        raise TypeError(message)
