"""Runs an asynchronous workflow in an event loop of its own. The code is quiet when the loop would block in its selector."""

from __future__ import annotations

import asyncio
import sys
from _thread import get_ident
from contextvars import copy_context

from ty_worker.clock import NEVER
from ty_worker.errors import CallError
from ty_worker.forks import end_if_forked
from ty_worker.functions import is_async
from ty_worker.journal import ClosedError
from ty_worker.loop import Loop, Selector
from ty_worker.mishaps import crash
from ty_worker.tries import check_outside, named, within
from ty_worker.values import returned

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ty_worker.calls import Call
    from ty_worker.engine import Attempt
    from ty_worker.immediate import ImmediateCall
    from ty_worker.pool import Pool
    from ty_worker.running import Running
    from ty_worker.steps import StepCall
    from ty_worker.tries import Try

_CLEAN_UP = 1.0


class Loops:
    """The front of an asynchronous workflow. Methods that say so are called under the lock of the run."""

    def __init__(self, attempt: Attempt, pool: Pool) -> None:
        self._attempt, self._lock, self._pool = attempt, attempt.lock, pool
        selector = Selector()
        selector.front = self
        self._loop = Loop(selector)
        self._thread = 0
        self._committing = self._stopping = self._over = False
        self._wanted = 0
        self._kept: list[object] = []
        self.resting = self.foreign = False
        self._stirred = False  # the code that runs was woken by something foreign

    def body(self, workflow: Callable[..., Any], *arguments: object) -> None:
        """Run the body in this thread, and the loop until `stop`."""
        self._thread = get_ident()
        main = self._loop.create_task(self._body(workflow, arguments))
        while not self._stopping:
            try:
                self._loop.run_forever()
            except (SystemExit, KeyboardInterrupt) as error:
                print(f"a task of the workflow raised {error!r}: it counts as ended", file=sys.stderr)  # noqa: T201
        self._clean_up(main)

    async def _body(self, workflow: Callable[..., Any], arguments: tuple[object, ...]) -> None:
        try:
            outcome = returned(await workflow(*arguments))
        except BaseException as error:  # noqa: BLE001 - whatever ends the body, also sys.exit()
            outcome = ("threw", error)
        end_if_forked()
        with self._lock:
            self._over = True
            self._attempt.body_over(outcome)
        self._attempt.port.conclude()

    async def perform(self, call: Call) -> Any:
        """Make a call from workflow code and return its result."""
        self._check(call.kind, call.name)
        call.waiter, call.context = self._loop.create_future(), copy_context()
        try:
            with self._lock:
                self._attempt.request(call, foreign=self._stirred)
        except ClosedError:
            self._kept.append(call.waiter)
        await call.waiter
        return call.result()

    def note(self, call: ImmediateCall) -> Any:
        """Make a call that returns at once."""
        self._check(call.kind, call.name)
        try:
            with self._lock:
                self._attempt.request(call, foreign=self._stirred)
        except ClosedError:
            call.give(self._attempt, None)  # nothing comes of it any more
        return call.value

    def patched(self, marker: str) -> bool:
        """Say whether the new code may run."""
        self._check("patched", marker)
        try:
            with self._lock:
                return self._attempt.patched(marker)
        except ClosedError:
            return True

    def _check(self, kind: str, name: str) -> None:
        check_outside(kind, name)
        if get_ident() != self._thread:
            message = f"{named(kind, name)} was called in a thread of its own: call it in the workflow function"
            raise CallError(message)

    def turn(self, *, foreign: bool) -> bool:
        """Release the next result, and say whether there was one: the loop is about to block."""
        end_if_forked()
        with self._lock:
            try:
                call = self._attempt.release()
            except ClosedError:
                call = None
            if call is None:
                self.resting, self.foreign = True, foreign or self._loop.executing > 0
                self._attempt.rest()
                return False
            self._stirred = False
        if not call.waiter.done():
            call.waiter.set_result(None)
        return True

    def stirred(self) -> None:
        """Take note that the loop goes on."""
        with self._lock:
            self.resting, self._stirred = False, True

    def start(self, call: StepCall) -> None:
        """Run the function of a step. Under the lock."""
        if call.running is not None:
            self._in_loop(self._begin, call, call.running)

    def _begin(self, call: StepCall, running: Try) -> None:
        call.task = call.context.run(self._loop.create_task, self._run(call, running))

    async def _run(self, call: StepCall, running: Try) -> None:
        within.set(call.key)
        try:
            value = call.invoke(running) if is_async(call.fn) else await self._aside(call, running)
            if hasattr(type(value), "__await__"):
                value = await value
        except GeneratorExit:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever ends the try, also sys.exit()
            end_if_forked()
            self._record(call.failed, call.owner, running, error)
        else:
            end_if_forked()
            self._record(call.returned, call.owner, running, value)

    @staticmethod
    def _record(conclude: Callable[[Running, Try, Any], object], owner: Running, running: Try, what: object) -> None:
        try:
            conclude(owner, running, what)
        except ClosedError:
            return
        except BaseException:  # noqa: BLE001 - the loop would go on without it
            crash()

    async def _aside(self, call: StepCall, running: Try) -> Any:
        """Call a function that is not asynchronous, as far as that can be seen, in a thread: it may block."""
        future = self._loop.create_future()
        context = copy_context()

        def work() -> None:
            try:
                value, error = context.run(call.invoke, running), None
            except BaseException as failure:  # noqa: BLE001 - it is raised where the result is awaited
                value, error = None, failure
            end_if_forked()
            self._in_loop(self._hand_over, future, value, error)

        self._pool.run(work)
        return await future

    @staticmethod
    def _hand_over(future: asyncio.Future[Any], value: object, error: BaseException | None) -> None:
        if future.done():
            return
        if isinstance(error, (StopIteration, KeyboardInterrupt, SystemExit)):
            raised, error = error, RuntimeError(f"{type(error).__name__}: {error}")
            error.__cause__ = raised
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)

    def _in_loop(self, function: Callable[..., object], *arguments: object) -> None:
        """Call `function` in the next turn of the loop."""
        try:
            if get_ident() == self._thread:
                self._loop.call_soon(function, *arguments)
            else:
                self._loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:
            return  # the loop is closed: nobody waits for it any more

    def give_up(self, call: StepCall) -> None:
        """Go on without a try that took too long. Under the lock."""
        if call.task is not None:
            self._in_loop(call.task.cancel)

    def stuck_at(self) -> float:
        """Return that the code never needs another thread. Under the lock."""
        return NEVER

    def commit(self, offset: int) -> None:
        """Make the journal durable up to `offset`, then release what may be released; other tasks of the loop go on meanwhile."""
        if get_ident() != self._thread or len(self._attempt.tries) == 0:
            self._attempt.journal.sync(offset)
            self.wake()
            return
        with self._lock:
            self._wanted = max(self._wanted, offset)
            if self._committing:
                return
            self._committing = True
        self._pool.run(self._commit)

    def _commit(self) -> None:
        journal = self._attempt.journal
        while self._committing:
            journal.sync(self._wanted)
            with self._lock:
                self._committing = not journal.closed and journal.durable < self._wanted
            self.wake()

    def wake(self) -> None:
        """Let the loop look whether something may be released. Under the lock or not."""
        if get_ident() != self._thread:
            self._in_loop(_nothing)

    def stop(self) -> None:
        """Run no code any more. Under the lock."""
        self._stopping = True
        if self._over:
            cleaning.add(self)
        self._in_loop(self._loop.stop)

    @property
    def leftover(self) -> bool:
        """Whether tasks are left that never end. Under the lock."""
        return not self._over

    def _clean_up(self, main: asyncio.Task[None]) -> None:
        """End what the code has left, as `asyncio.run` does; what the run was parked with is kept, for no `finally` may run."""
        self._loop.set_exception_handler(lambda _loop, _context: None)
        tasks = asyncio.all_tasks(self._loop)
        if main.done():
            for task in tasks:
                task.cancel()
            if tasks:
                self._loop.run_until_complete(asyncio.wait(tasks, timeout=_CLEAN_UP))
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            tasks = asyncio.all_tasks(self._loop)
        self._kept = [*tasks, *([self._loop] if tasks else [])]
        if tasks:
            _left_for_ever.append(self._kept)
        self._loop.close()
        cleaning.discard(self)


_left_for_ever: list[object] = []
cleaning: set[Loops] = set()  # fronts whose body has ended, and that end the rest; not for long


def _nothing() -> None:
    """Do nothing, in the loop: it looks at everything before it blocks again."""
