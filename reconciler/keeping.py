"""The data folder as a command or a loop holds it: the pass lock, the database, the platforms, and what is remembered from pass to pass."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from reconciler import installation, tombstones
from reconciler.clock import Clock
from reconciler.compute import Adapter, Progress
from reconciler.config import Settings
from reconciler.errors import DamagedStateError, InvalidError
from reconciler.instants import stamp
from reconciler.locks import FileLock
from reconciler.reconcile import Memory, make_ready
from reconciler.registry import Adapters
from reconciler.state import Store, marks, move_aside, named_errors, open_store, read_store, store_in_memory

PATIENCE = 30.0


class Keeping:
    """One data folder. A loop (`is_loop`) keeps the database open, and remembers what it saw."""

    def __init__(self, settings: Settings, clock: Clock, progress: Progress) -> None:
        """Nothing is opened before it is needed."""
        self.settings, self.clock, self.progress = settings, clock, progress
        self.data_dir = Path(settings.data_dir)
        self.is_loop = False
        self._memory = Memory()
        self._kept: Store | None = None

    @cached_property
    def adapters(self) -> Mapping[str, Adapter]:
        """The platforms that the settings enable."""
        return Adapters(self.settings)

    @cached_property
    def scope(self) -> str:
        """The random id of this installation; empty where nothing was ever written."""
        return installation.scope_of(self.data_dir)

    @contextmanager
    def writing(self, who: str) -> Iterator[Store]:
        """Hold the pass lock, with the database open."""
        private(self.data_dir)
        with FileLock(self.data_dir / "lock").held(who, PATIENCE):
            if installation.check(self.data_dir):
                self.progress("the state was another machine's: it goes on here (CI)")
            if installation.make_scope(self.data_dir):
                self.__dict__.pop("scope", None)
            store = self._open()
            try:
                with named_errors(store.path):
                    make_ready(store, self.adapters, self.progress, now=self.clock.now())
                    yield store
            except DamagedStateError as error:
                self._kept = None
                store.close()
                self._move_aside(error)
                raise
            finally:
                if store is not self._kept:
                    store.close()

    def _open(self) -> Store:
        """Open the database. A loop keeps it open from pass to pass, unless the file was removed or replaced meanwhile."""
        kept = self._kept
        if kept is not None and kept.is_current():
            return kept
        if kept is not None:
            kept.close()
        try:
            store = open_store(self.data_dir)
        except DamagedStateError as error:
            self._move_aside(error)
            store = open_store(self.data_dir)
        if self.is_loop:
            self._kept = store
            self._memory = Memory()
        return store

    def close(self) -> None:
        """Let go of what a loop keeps open."""
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    def _move_aside(self, why: DamagedStateError) -> None:
        moved = move_aside(self.data_dir, f"damaged-{self.moment()}")
        told = str(why).partition(":")[0]
        self.progress(f"{told}: moved to {moved}, and rebuilt from what run folders and tombstones prove")

    @contextmanager
    def reading(self) -> Iterator[Store | None]:
        """Open the database without writing anything; None if there is none."""
        _check_is_folder(self.data_dir)
        store = self._proven(read_store(self.data_dir))
        if store is None:
            yield None
            return
        try:
            with named_errors(store.path):
                yield store
        finally:
            store.close()

    def _proven(self, store: Store | None) -> Store | None:
        """Return a database with what the platforms can prove: the one that is there, else one in memory, since looking writes nothing."""
        if store is not None and marks.mark(store, marks.REBUILT) is not None:
            return store
        if not ((self.data_dir / tombstones.NAME).exists() or any(next(adapter.found(), None) for adapter in self.adapters.values())):
            return store
        from reconciler.rebuild import rebuild

        fresh = store_in_memory(self.data_dir, store)
        rebuild(fresh, self.adapters, lambda _: None, now=self.clock.now())
        return fresh

    def now_text(self) -> str:
        """Return the present instant as files carry it."""
        return stamp(self.clock.now())

    def moment(self) -> str:
        """Return the present instant as names of files carry it."""
        return f"{self.now_text()[:19].replace(':', '').replace('-', '').lower()}z"


def private(folder: Path) -> None:
    """Make the data folder, for its owner only. Raises InvalidError if that cannot be."""
    _check_is_folder(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        message = f"data_dir {folder} cannot be made: {error.strerror}"
        raise InvalidError(message) from error


def _check_is_folder(folder: Path) -> None:
    """Raise InvalidError if something else has the name of the data folder."""
    if folder.exists() and not folder.is_dir():
        message = f"data_dir {folder} is not a folder"
        raise InvalidError(message)
