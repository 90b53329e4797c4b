"""Runs a synchronous workflow. Its threads share a baton: only its holder runs workflow code, so the code takes the same turns in every replay."""

from __future__ import annotations

from _collections import deque  # type: ignore[import-not-found]  # without the package, which takes a tenth of our start
from _contextvars import copy_context
from _thread import allocate_lock, get_ident, start_new_thread

from ty_worker.clock import NEVER, monotonic
from ty_worker.errors import CallError
from ty_worker.forks import end_if_forked
from ty_worker.journal import ClosedError
from ty_worker.mishaps import guarded
from ty_worker.tries import check_outside, named, within
from ty_worker.values import returned

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, NoReturn

    from ty_worker.calls import Call
    from ty_worker.engine import Attempt
    from ty_worker.immediate import ImmediateCall
    from ty_worker.pool import Pool
    from ty_worker.steps import StepCall
    from ty_worker.tries import Try

# A function that looks at its signal gets this long to return, before the code goes on without its thread.
_LEEWAY = 1.0


class Strand:
    """One thread of workflow code: the body, or a branch of it."""

    __slots__ = ("blocked", "busy", "task", "turn")

    def __init__(self) -> None:
        self.turn = allocate_lock()
        self.turn.acquire()
        self.blocked = False
        self.task: tuple[StepCall, Try] | None = None  # the function of a step, to be run in this thread
        self.busy = False  # with such a function

    def wake(self) -> None:
        """Let the thread go on, if it is blocked."""
        if self.blocked:
            self.blocked = False
            self.turn.release()


class Threads:
    """The front of a synchronous workflow. Methods that say so are called under the lock of the run."""

    foreign = False  # who waits for anything foreign holds the baton

    def __init__(self, attempt: Attempt, pool: Pool) -> None:
        self._attempt, self._lock, self._pool = attempt, attempt.lock, pool
        self._strands: dict[int, Strand] = {}
        self._alive = 1
        self._holder: Strand | None = Strand()  # until the body begins
        self._ready: deque[Strand] = deque()
        self._stuck: Strand | None = None
        self._stuck_at = NEVER

    @property
    def resting(self) -> bool:
        """Whether nobody has or wants the baton. Under the lock."""
        return self._holder is None and not self._ready

    def body(self, workflow: Callable[..., Any], *arguments: object) -> None:
        """Run the body in this thread, and report how it ended."""
        strand = self._holder = self._strands[get_ident()] = Strand()
        try:
            value = workflow(*arguments)
            if hasattr(type(value), "__await__"):
                message = "the workflow returned an awaitable: write `async def workflow(input, ctx)`, or return what it gives"
                raise TypeError(message)
            outcome = returned(value)
        except BaseException as error:  # noqa: BLE001 - whatever ends the body, also sys.exit()
            outcome = ("threw", error)
        end_if_forked()
        with self._lock:
            del self._strands[get_ident()]
            self._alive -= 1
            self._attempt.body_over(outcome)
            if self._holder is strand:
                self._holder = None
                self._pass_on()
        self._attempt.port.conclude()

    def perform(self, call: Call) -> Any:
        """Make a call from workflow code and return its result."""
        strand = self._strand(call.kind, call.name)
        call.waiter = strand
        if self._alive > 1 or call.compensate is not None:
            call.context = copy_context()
        try:
            with self._lock:
                self._attempt.request(call)
                self._holder = None
                self._pass_on()
            self._wait(strand, call)
        except ClosedError:
            self.leave()
        return call.result()

    def note(self, call: ImmediateCall) -> Any:
        """Make a call that returns at once."""
        self._at_once(call.kind, call.name, self._attempt.request, call)
        return call.value

    def patched(self, marker: str) -> bool:
        """Say whether the new code may run."""
        return bool(self._at_once("patched", marker, self._attempt.patched, marker))

    def _at_once(self, kind: str, name: str, function: Callable[..., Any], argument: object) -> Any:
        self._strand(kind, name)
        try:
            with self._lock:
                return function(argument)
        except ClosedError:
            self.leave()

    def _strand(self, kind: str, name: str = "") -> Strand:
        check_outside(kind, name)
        strand = self._strands.get(get_ident())
        if strand is None:
            message = f"{named(kind, name)} was called in a thread of its own: call it in the workflow function, or in a branch of ctx.parallel"
            raise CallError(message)
        return strand

    def _wait(self, strand: Strand, call: Call) -> None:
        while True:
            with self._lock:
                if call.released:
                    return
                task, strand.task = strand.task, None
                strand.busy, strand.blocked = task is not None, task is None
            if task is None:
                strand.turn.acquire()
            else:
                self._run(*task)
                within.set("")
                with self._lock:
                    strand.busy = False
                    if self._stuck is strand:
                        self._stuck, self._stuck_at = None, NEVER
                        self._attempt.port.plan(0)

    def _run(self, call: StepCall, running: Try) -> None:
        within.set(call.key)
        try:
            value = call.invoke(running)
        except BaseException as error:  # noqa: BLE001 - whatever ends the try, also sys.exit()
            end_if_forked()
            call.failed(call.owner, running, error)
        else:
            end_if_forked()
            call.returned(call.owner, running, value)

    def _run_aside(self, call: StepCall, running: Try) -> None:
        try:
            self._run(call, running)
        except ClosedError:
            return

    def leave(self) -> NoReturn:
        """Leave this thread waiting for ever: control flow is no exception that user code could catch."""
        never = allocate_lock()
        while True:
            never.acquire()

    def start(self, call: StepCall) -> None:
        """Run the function of a step: in the thread of the code if that is the only one, so that sequential code needs no other. Under the lock."""
        strand, running = call.waiter, call.running
        if running is None:
            return
        inline = strand is not None and (self._alive == 1 or not call.limited)
        call.inline = inline or not self._start_aside(call, running)
        if call.inline:
            strand.task = (call, running)
            strand.wake()

    def _start_aside(self, call: StepCall, running: Try) -> bool:
        context = call.context.copy()  # the thread of the last try may still be in it
        try:
            self._pool.run(lambda: context.run(self._run_aside, call, running))
        except RuntimeError:  # there are not enough threads
            if call.waiter is None:
                raise
            return False
        return True

    def give_up(self, call: StepCall) -> None:
        """Go on without the thread of a try that took too long, unless it comes back soon. Under the lock."""
        if call.inline and call.waiter.busy:
            self._stuck, self._stuck_at = call.waiter, monotonic() + _LEEWAY

    def stuck_at(self) -> float:
        """Return the moment at which the code goes on without its thread. Under the lock."""
        return self._stuck_at

    def commit(self, offset: int) -> None:
        """Make the journal durable up to `offset`, then release what may be released."""
        self._attempt.journal.sync(offset)
        with self._lock:
            self._pass_on()

    def wake(self) -> None:
        """Release what may be released, if the code is quiet. Under the lock."""
        self._pass_on()

    def _pass_on(self) -> None:
        """Give the baton to who wants it, else to who gets the next result. Under the lock."""
        attempt = self._attempt
        if self._holder is not None or attempt.stopped:
            return
        if self._ready:
            strand = self._ready.popleft()
        else:
            try:
                call = attempt.release()
            except ClosedError:
                return
            if call is None:
                attempt.rest()
                return
            strand = call.waiter
        self._holder = strand
        strand.wake()

    def stop(self) -> None:
        """Run no code any more. Under the lock."""

    @property
    def leftover(self) -> bool:
        """Whether threads are left that never end. Under the lock."""
        return self._alive > 0

    def parallel(self, branches: Sequence[Callable[[], Any]]) -> list[Any]:
        """Run the branches, and return their results in order or raise the first failure; the other branches go on then."""
        parent = self._strand("ctx.parallel")
        if not branches:
            return []
        group = _Group(parent, len(branches))
        strands = self._branches(group, branches)
        with self._lock:
            self._alive += len(strands)
            self._ready.extend(strands)
            self._holder, parent.blocked = None, True
            self._pass_on()
        parent.turn.acquire()
        if group.error is not None:
            raise group.error
        return group.results

    def _branches(self, group: _Group, branches: Sequence[Callable[[], Any]]) -> list[Strand]:
        strands: list[Strand] = []
        try:
            for number, branch in enumerate(branches):
                strand = Strand()
                strand.blocked = True
                start_new_thread(copy_context().run, (guarded, self._carry_out, strand, group, number, branch))
                strands.append(strand)
        except RuntimeError:
            group.void = True
            for strand in strands:
                strand.wake()
            raise
        return strands

    def _carry_out(self, strand: Strand, group: _Group, number: int, branch: Callable[[], Any]) -> None:
        strand.turn.acquire()
        if group.void:
            return
        self._strands[get_ident()] = strand
        error: BaseException | None = None
        try:
            group.results[number] = branch()
        except BaseException as failure:  # noqa: BLE001 - it is raised in the thread that waits
            error = failure
        end_if_forked()
        with self._lock:
            del self._strands[get_ident()]
            self._alive -= 1
            if group.ended(error):
                self._ready.append(group.parent)
            self._holder = None
            self._pass_on()


class _Group:
    """The branches of one `ctx.parallel`."""

    def __init__(self, parent: Strand, count: int) -> None:
        self.parent, self._left = parent, count
        self.results: list[Any] = [None] * count
        self.error: BaseException | None = None
        self.void = False  # there were not enough threads

    def ended(self, error: BaseException | None) -> bool:
        """Take note that a branch has ended, and say whether the parent goes on for that."""
        self._left -= 1
        if self.error is not None:
            return False
        self.error = error
        return error is not None or self._left == 0
