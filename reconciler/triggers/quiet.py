"""When a burst of changes below folders is over: worked out from what was heard, and the time."""

from reconciler.values import made, mutable

# In seconds. `git checkout` of 500 files leaves gaps of at most 5 ms on an idle machine and 18 ms on a busy one.
ONE_PATH, MANY_PATHS, STILL_OPEN, AT_MOST = 0.010, 0.050, 0.300, 1.0


@mutable
class Quiet:
    """Gathers paths until nothing was heard for a while: 10 ms after one path, 50 ms after several, 1 s after the first at most.

    A path that was written to and not closed is waited for 300 ms. Instants are seconds of a clock that only goes forward.
    """

    paths: set[str] = made(default_factory=set)
    open: dict[str, float] = made(default_factory=dict)
    first: float = 0.0
    due: float | None = None

    def heard(self, path: str, at: float, *, closed: bool = True, before: str = "") -> None:
        """Note that something happened to a path; `closed` is false while its writer may go on, `before` is what it was called until now."""
        if not self.paths:
            self.first = at
        self.paths.discard(before)
        self.open.pop(before, None)
        self.paths.add(path)
        if closed:
            self.open.pop(path, None)
        else:
            self.open[path] = at + STILL_OPEN
        pause = ONE_PATH if len(self.paths) == 1 else MANY_PATHS
        self.due = min(self.first + AT_MOST, max(at + pause, *self.open.values())) if self.open else min(self.first + AT_MOST, at + pause)

    def take(self, at: float) -> frozenset[str]:
        """Return what was gathered if it is time, and begin anew; nothing before that."""
        if self.due is None or at < self.due:
            return frozenset()
        paths = frozenset(self.paths)
        self.paths.clear()
        self.open.clear()
        self.due = None
        return paths
