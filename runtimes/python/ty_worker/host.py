"""The worker process: takes orders, hosts runs, and ends when there is nothing left to do."""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]  # without the enumerations, which take a tenth of our start
import os
import select
import stat
import sys
from _queue import SimpleQueue
from _thread import allocate_lock, start_new_thread
from time import sleep

from ty_worker import forks, output
from ty_worker.clock import NEVER, monotonic
from ty_worker.load import Code
from ty_worker.mishaps import guarded
from ty_worker.orders import Orders
from ty_worker.pool import Pool
from ty_worker.run import Run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from ty_worker.history import Record
    from ty_worker.verdict import Replay

_LOCK, _WAKE = 3, 4
_STORAGE = 70
_TICK = 1.0
_MOST_LEFTOVERS = 32
_AT_EXIT = 2.0
_LOOK = 0.002
_exit, _write, _read, _open, _close = os._exit, os.write, os.read, os.open, os.close


class Host:
    """One worker. `plan`, `bodies`, `changed` and `run_over` are called from any thread, the rest from the one that controls."""

    def __init__(self, folder: str) -> None:
        self.id, self.park_after_ms, self._folder = "", 0, folder
        self.code: Code
        self.pool = Pool()
        self._orders = Orders(folder + "/orders")
        self._waiting: list[Record] = []
        self._capacity = 0  # there was no `hello` yet
        self.linger = 0.0
        self._changed = ""
        self._lock = allocate_lock()
        self._runs: list[Run | Replay] = []
        self._draining = self._suspending = self._served = False
        self._leftovers = 0
        self._idle_since = monotonic()
        self._bodies: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._main_is_free = True
        self._planned = 0.0
        # User code may close its standard output, and open something else in its place.
        self._output, self._log = os.dup(1), folder + "/log"
        self._outputs: list[output.Output] = []
        self._open_descriptors(folder)

    def _open_descriptors(self, folder: str) -> None:
        os.umask(0o077)
        for fd in (_LOCK, _WAKE):
            os.set_inheritable(fd, False)
        os.set_blocking(_WAKE, False)
        writer = _open(folder + "/wake", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # else the pipe would end with the reconciler
        self._poked, self._poke = os.pipe()
        for fd in (self._poked, self._poke):
            os.set_blocking(fd, False)
        forks.descriptors.update((_LOCK, _WAKE, writer, self._poked, self._poke))
        forks.keep_from_children(_on_signal)
        signal.set_wakeup_fd(self._poke, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, _on_signal)
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    def main(self) -> NoReturn:
        """Serve for the life of the process; the main thread carries out bodies where only one run is hosted."""
        self._take_orders()
        start_new_thread(guarded, (self._control,))
        while True:
            body = self._bodies.get()
            guarded(body)
            self._main_is_free = True

    def bodies(self, body: Callable[[], None]) -> None:
        """Carry out a body: in the main thread, where signals and many libraries expect it, if only one run is hosted."""
        if self._capacity == 1 and self._main_is_free:
            self._main_is_free = False
            self._bodies.put(body)
        else:
            start_new_thread(guarded, (body,))

    def plan(self, moment: float) -> None:
        """Look at the runs when the monotonic clock shows `moment`, at the latest."""
        if moment < self._planned:
            self._planned = 0.0
            try:
                _write(self._poke, b"\0")
            except BlockingIOError:
                return  # it is full of others

    def changed(self, uid: str) -> None:
        """Leave the hint that the status of a run has changed."""
        try:
            _close(_open(f"{self._changed}/{uid}", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError:
            return

    def broken(self, message: str) -> NoReturn:
        """End at once: a descriptor that failed is not tried again, and what it holds is not known."""
        output.report(f"the storage of a journal failed: {message}")
        _exit(_STORAGE)

    def run_over(self, run: Run | Replay) -> None:
        """Let a run go."""
        with self._lock:
            self._runs.remove(run)
            self._leftovers += run.leftover
            self._idle_since = monotonic()
        run.output.close()
        self.plan(0)

    def _control(self) -> None:
        poll = select.poll()
        poll.register(_WAKE, select.POLLIN)
        poll.register(self._poked, select.POLLIN)
        awake, trimmed = True, monotonic()
        while True:
            self._planned = NEVER
            if awake:
                self._take_orders()
                for run in self._hosted():
                    run.read_inbox()
            self._take_waiting()
            upcoming = min((run.tick() for run in self._hosted()), default=NEVER)
            upcoming = min(upcoming, self._end_if_idle())
            moment = monotonic()
            if self._runs:
                upcoming = min(upcoming, moment + _TICK)
                if moment - trimmed >= _TICK:
                    trimmed = moment
                    self._trim()
            timeout = None if upcoming == NEVER else max(0.0, upcoming - moment)
            awake = self._sleep(poll, timeout, moment)

    def _sleep(self, poll: select.poll, timeout: float | None, moment: float) -> bool:
        """Wait for something to do, and say whether that is a wake byte."""
        if self._planned == 0.0:
            timeout = 0.0
        else:
            self._planned = NEVER if timeout is None else moment + timeout
        awake = False
        for fd, _ in poll.poll(None if timeout is None else -(-timeout * 1000 // 1)):
            data = _drain(fd)
            awake = awake or fd == _WAKE
            if fd == self._poked and bytes((signal.SIGTERM,)) in data:
                self._suspend()
        return awake

    def _hosted(self) -> list[Run | Replay]:
        with self._lock:
            return list(self._runs)

    def _take_orders(self) -> None:
        for record in self._orders.read():
            if record["type"] == "hello" and not self._capacity:
                self._greet(record)
            elif record["type"] in ("order", "replay"):
                self._waiting.append(record)
            elif record["type"] == "drain":
                self._draining = True
            elif record["type"] == "hand-over":
                self._hand_over(record["keep"])
        self._take_waiting()

    def _take_waiting(self) -> None:
        while self._waiting and self._room():
            self._take(self._waiting.pop(0))

    def _greet(self, hello: Record) -> None:
        self.id, self.park_after_ms, self._changed = hello["worker"], hello["park_after_ms"], hello["changed"]
        self.code = Code(hello["code"], hello["entry"], hello["paths"])
        self.linger = hello["linger_ms"] / 1000
        self._capacity = hello["capacity"]
        output.prepare(attributed=self._capacity > 1)
        if self._capacity > 1:
            self._outputs.append(output.Output(self._log, self._output))
        self._idle_since = monotonic()

    def _room(self) -> bool:
        stopping = self._draining or self._suspending or self._leftovers > _MOST_LEFTOVERS
        return not stopping and len(self._runs) < self._capacity

    def _take(self, order: Record) -> None:
        own = self._output if self._capacity == 1 else -1
        run: Run | Replay
        if order["type"] == "replay":
            from ty_worker.verdict import Replay

            self._draining = True
            run = Replay(self, order, output.Output(self._log, own), self._folder + "/verdict.json")
        else:
            run = Run(self, order, output.Output(order["prefix"] + "output.log", own))
        with self._lock:
            self._runs.append(run)
        self._served = True
        self.bodies(run.carry_out)

    def _suspend(self) -> None:
        self._suspending = True
        for run in self._hosted():
            run.leave("suspended")

    def _hand_over(self, keep: str) -> None:
        """Let every run but one go on elsewhere."""
        self._draining = True
        for run in self._hosted():
            if run.uid != keep:
                run.leave("handed-over")

    def tell_of_full(self) -> None:
        """Mark the lock, which needs no space: a claim has ended, and its journal could not say so."""
        os.fchmod(_LOCK, os.fstat(_LOCK).st_mode | stat.S_ISVTX)

    def _end_if_idle(self) -> float:
        """End if there is nothing more to do; return the moment to look again."""
        if self._runs:
            return NEVER
        if self._capacity == 0 and not self._suspending:
            return NEVER
        stopping = self._draining or self._suspending or self._leftovers > 0 or (self._capacity == 1 and self._served)
        if not stopping and self._capacity == 1:
            return NEVER
        end_at = 0.0 if stopping else self._idle_since + self.linger
        if end_at > monotonic():
            return end_at
        self._take_orders()
        if self._runs:
            return 0.0
        return _end()

    def _trim(self) -> None:
        for each in [*self._outputs, *(run.output for run in self._hosted())]:
            each.trim()


def _on_signal(_number: int, _frame: object) -> None:
    """Do nothing: the byte that the system writes for a signal wakes the thread that controls."""


def _drain(fd: int) -> bytes:
    try:
        return _read(fd, 65536)
    except BlockingIOError:
        return b""


def _end() -> NoReturn:
    """End the process: what user code registered for that gets a moment, what it left behind is no reason to stay."""
    done = allocate_lock()
    done.acquire()
    start_new_thread(_at_exit, (done,))
    done.acquire(timeout=_AT_EXIT)
    output.flush()
    _exit(0)


def _at_exit(done: object) -> None:
    import atexit

    loops = sys.modules.get("ty_worker.loops")
    try:
        while loops is not None and loops.cleaning:
            sleep(_LOOK)
        atexit._run_exitfuncs()
    finally:
        done.release()  # type: ignore[attr-defined]


def serve(folder: str) -> NoReturn:
    """Be the worker whose folder this is."""
    Host(folder).main()
