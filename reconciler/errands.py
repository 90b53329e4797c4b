"""Slow calls of platforms, made beside the thread that decides: one at a time for each object, and always the newest that is wanted."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any

from reconciler.errors import TyOpenworkflowError
from reconciler.values import frozen, mutable

_SIZE = 4


def _nothing() -> None:
    """Do nothing."""


@frozen
class Errand:
    """One slow call. `key` is the object that it is for, `token` the state that it brings about, `lane` what no two calls may touch at once.

    `give_up` is called, from another thread, when a newer state of the object is wanted: it lets `work` end early where that is possible.
    """

    key: Hashable
    token: str
    lane: Hashable
    work: Callable[[], Any]
    about: Any = None
    give_up: Callable[[], None] = _nothing


@mutable
class Done:
    """What came of an errand: a value or an error. `given_up`: nobody wanted it any more, so its failure says nothing."""

    errand: Errand
    value: Any = None
    error: TyOpenworkflowError | None = None
    given_up: bool = False
    bug: BaseException | None = None


def in_a_thread(work: Callable[[], None]) -> None:
    """Do `work` in a thread that keeps nobody from ending."""
    from threading import Thread

    Thread(target=work, daemon=True).start()


class Errands:
    """A queue with one place for each object: who asks again replaces what waits, and what is under way is not asked for twice.

    Asking and collecting belong to the thread that decides; `wake` is called from others, whenever an outcome is there.
    """

    def __init__(self, wake: Callable[[], None] = _nothing, *, size: int = _SIZE, begin: Callable[[Callable[[], None]], None] = in_a_thread) -> None:
        """`size` calls may be under way at once; `begin` says how one is set going, so that a test can decide when."""
        from threading import Condition

        self._wake, self._size, self._begin = wake, size, begin
        self._news = Condition()
        self._waiting: dict[Hashable, Errand] = {}
        self._flying: dict[Hashable, Done] = {}
        self._done: list[Done] = []
        self._closed = False

    def ask(self, errand: Errand) -> None:
        """Ask for a call, unless the same one is under way; one for the same object that only waits is replaced, one under way is told to give up."""
        with self._news:
            flying = self._flying.get(errand.key)
            self._waiting.pop(errand.key, None)
            if self._closed or (flying is not None and flying.errand.token == errand.token and not flying.given_up):
                return
            if (errand.key, errand.token) not in {(done.errand.key, done.errand.token) for done in self._done}:
                self._waiting[errand.key] = errand
        if flying is not None:
            self._give_up(flying)
        self._set_going()

    def withdraw(self, unwanted: Callable[[Errand], bool]) -> None:
        """Forget what waits and is not wanted any more, and tell what is under way to give up."""
        with self._news:
            for key in [key for key, errand in self._waiting.items() if unwanted(errand)]:
                del self._waiting[key]
            flying = [done for done in self._flying.values() if unwanted(done.errand)]
        for done in flying:
            self._give_up(done)
        if flying:
            self._set_going()

    def under_way(self) -> frozenset[tuple[Hashable, str]]:
        """Return (key, token) of everything that was asked for and not collected yet."""
        with self._news:
            flying = [done.errand for done in self._flying.values() if not done.given_up]
            asked = [*self._waiting.values(), *flying, *(done.errand for done in self._done if not done.given_up)]
            return frozenset((errand.key, errand.token) for errand in asked)

    def collect(self) -> list[Done]:
        """Return what has come back since the last call. An error without a name is a bug: it is raised here."""
        with self._news:
            done, self._done = self._done, []
        for one in done:
            if one.bug is not None:
                raise one.bug
        return done

    @property
    def is_moving(self) -> bool:
        """Say whether a call is under way, or waits for its turn."""
        with self._news:
            return bool(self._flying or self._waiting)

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until an outcome is there; false if the time was over first, or nothing is under way."""
        with self._news:
            return self._news.wait_for(lambda: self._done or not (self._flying or self._waiting), seconds) and bool(self._done)

    def wait_for_all(self, seconds: float | None = None) -> bool:
        """Wait until nothing is under way; false if the time was over first. What came back is still to be collected."""
        with self._news:
            return self._news.wait_for(lambda: not (self._flying or self._waiting), seconds)

    def close(self) -> None:
        """Take no more errands, drop what waits and tell what is under way to give up; nobody waits for it."""
        with self._news:
            self._closed = True
            self._waiting.clear()
            flying = list(self._flying.values())
        for done in flying:
            self._give_up(done)

    def _give_up(self, done: Done) -> None:
        """Tell a call that nobody wants it any more, unless another object waits for the same."""
        with self._news:
            others = [errand for key, errand in self._waiting.items() if key != done.errand.key]
            if done.given_up or any((errand.lane, errand.token) == (done.errand.lane, done.errand.token) for errand in others):
                return
            done.given_up = True
        done.errand.give_up()

    def _set_going(self) -> None:
        """Begin what has room. What nobody wants any more takes none, so that a call that hangs never keeps a newer state waiting."""
        while True:
            with self._news:
                busy = {done.errand.lane for done in self._flying.values()}
                wanted = sum(not done.given_up for done in self._flying.values())
                ready = [errand for key, errand in self._waiting.items() if key not in self._flying and errand.lane not in busy]
                if not ready or wanted >= self._size:
                    return
                done = Done(ready[0])
                del self._waiting[done.errand.key]
                self._flying[done.errand.key] = done
            self._begin(lambda done=done: self._carry_out(done))  # type: ignore[misc]

    def _carry_out(self, done: Done) -> None:
        try:
            done.value = done.errand.work()
        except TyOpenworkflowError as error:
            done.error = error
        except BaseException as error:  # noqa: BLE001  # raised again in the thread that decides
            done.bug = error
        with self._news:
            del self._flying[done.errand.key]
            self._done.append(done)
            self._news.notify_all()
        self._set_going()
        self._wake()


def gather(errands: Sequence[Errand]) -> Iterable[Done]:
    """Carry errands out, several at a time, and return what came of each: for who has nothing else to do meanwhile."""
    if len(errands) == 1:
        done = Done(errands[0])
        try:
            done.value = errands[0].work()
        except TyOpenworkflowError as error:
            done.error = error
        return [done]
    queue = Errands()
    for errand in errands:
        queue.ask(errand)
    found: list[Done] = []
    while queue.wait():
        found += queue.collect()
    return found
