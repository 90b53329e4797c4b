"""What people ask of the state as a whole: check, backup, restore, rebuild."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reconciler import backup, checkup, installation, restore
from reconciler.digest import Json
from reconciler.errors import RejectedError
from reconciler.keeping import PATIENCE, private
from reconciler.locks import FileLock, follower_lock, loop_lock
from reconciler.rebuild import Rebuilt, rebuild
from reconciler.service import Service
from reconciler.state import move_aside, named_errors, open_store

_LOOP_PATIENCE = 0.3


def check(service: Service) -> checkup.Checkup:
    """Look at everything; nothing is written."""
    return checkup.examine(service.data_dir, service.adapters)


def back_up(service: Service, file: Path, program: str, *, move: bool) -> dict[str, Json]:
    """Write a backup beside whatever is going on; with `move` this place is closed then, so that its runs go on elsewhere only."""
    target = file.expanduser().absolute()
    if not installation.scope_of(service.data_dir):
        message = f"there is no state in {service.data_dir} to back up"
        raise RejectedError(message)
    if not move:
        return backup.make(service.data_dir, target, service.adapters, program, now=service.clock.now())
    with _alone(service, "state backup --move"):
        installation.check(service.data_dir)
        busy = sum(adapter.workers(home) for adapter in service.adapters.values() if (home := adapter.home()) is not None)
        if busy:
            message = f"workers are alive here ({busy}): let their runs end or park, or `ty-openworkflow cancel` them, and move then"
            raise RejectedError(message)
        contents = backup.make(service.data_dir, target, service.adapters, program, now=service.clock.now())
        installation.fence(service.data_dir, f"moved to {target} at {contents['made_at']}")
    return contents


@contextmanager
def _alone(service: Service, who: str) -> Iterator[None]:
    """Hold every lock of the data folder: no pass, no loop and no follower lives meanwhile. Raises BusyError, which says who does."""
    with (
        loop_lock(service.data_dir).held(who, _LOOP_PATIENCE),
        follower_lock(service.data_dir).held(who, _LOOP_PATIENCE),
        FileLock(service.data_dir / "lock").held(who, PATIENCE),
    ):
        yield


def put_back(service: Service, file: Path) -> dict[str, Json]:
    """Make a backup the state of this place."""
    private(service.data_dir)
    with _alone(service, "state restore"):
        return restore.restore(service.data_dir, file.expanduser().absolute(), service.adapters, now=service.clock.now())


def go_on_here(service: Service) -> None:
    """Say that the state of this place goes on here, and nowhere else."""
    if not service.data_dir.is_dir():
        message = f"there is no state in {service.data_dir}"
        raise RejectedError(message)
    with FileLock(service.data_dir / "lock").held("state restore --here", PATIENCE):
        closed = installation.fence_of(service.data_dir)
        if closed.startswith("a restore"):
            message = f"{service.data_dir}: {closed}"
            raise RejectedError(message)
        installation.settle(service.data_dir)


def build_again(service: Service) -> tuple[Rebuilt, Path | None]:
    """Make a new database of what platforms and tombstones prove; returns where the old one is now, None if there was none."""
    private(service.data_dir)
    with FileLock(service.data_dir / "lock").held("state rebuild", PATIENCE):
        installation.check(service.data_dir)
        moved = None
        if (service.data_dir / "state.db").exists():
            moved = move_aside(service.data_dir, f"before-{service.moment()}")
        installation.make_scope(service.data_dir)
        store = open_store(service.data_dir)
        try:
            with named_errors(store.path):
                return rebuild(store, service.adapters, lambda _: None, now=service.clock.now()), moved
        finally:
            store.close()
