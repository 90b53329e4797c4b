"""What can keep an installation from working, each looked at by itself, so that one trouble does not hide another."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from reconciler import installation
from reconciler.cli.board import taskyou
from reconciler.cli.context import Context, Globals
from reconciler.compute import Finding
from reconciler.config import settings_path
from reconciler.errors import HeldError, TyOpenworkflowError
from reconciler.journal import DAMAGED_ADVICE
from reconciler.locks import FileLock
from reconciler.render import one_line
from reconciler.service import Service
from reconciler.state import NEWEST, queries

_ROOM = 64 << 20
_NETWORK = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "9p", "afs", "ceph", "glusterfs"}


def examine(options: Globals) -> list[Finding]:
    """Look at everything that can be looked at."""
    context = Context()
    context.options = options
    path = settings_path(options.config)
    try:
        service = context.service
    except TyOpenworkflowError as error:
        return [Finding("settings", False, str(error), f"mend {path}, or move it away: without it the defaults count")]
    found = [Finding("settings", True, f"{path}{'' if path.exists() else ' (not there: the defaults count)'}")]
    for look in (_data_dir, _owner, _room, _file_system, _database, _lock, _local_folder, _adapters, taskyou):
        found += _careful(look, service)
    return found


def _careful(look: Callable[[Service], Iterator[Finding]], service: Service) -> list[Finding]:
    try:
        return list(look(service))
    except (TyOpenworkflowError, OSError) as error:
        told = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error)
        return [Finding(look.__name__.strip("_").replace("_", " "), False, told)]


def _data_dir(service: Service) -> Iterator[Finding]:
    folder = service.data_dir
    if not folder.exists():
        parent = next(parent for parent in folder.parents if parent.exists())
        writable = os.access(parent, os.W_OK | os.X_OK)
        yield Finding("data_dir", writable, f"{folder} is not there yet", f"{parent} cannot be written to: choose another data_dir")
        return
    facts = folder.stat()
    if not folder.is_dir():
        yield Finding("data_dir", False, f"{folder} is no folder", "name another data_dir in the settings, or move the file away")
    elif facts.st_uid != os.geteuid():
        yield Finding("data_dir", False, f"{folder} belongs to uid {facts.st_uid}", "use a data_dir of your own, or run as its owner")
    elif facts.st_mode & 0o077:
        yield Finding("data_dir", False, f"{folder} has mode {facts.st_mode & 0o777:04o}: others can get in", f"chmod 700 {folder}")
    else:
        yield from _writable(folder)


def _owner(service: Service) -> Iterator[Finding]:
    """A data folder that was closed, or copied from another machine, refuses everything that writes."""
    if service.data_dir.is_dir():
        try:
            installation.check(service.data_dir, look_only=True)
        except HeldError as error:
            yield Finding("owner", False, str(error))


def _writable(folder: Path) -> Iterator[Finding]:
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"x" * 4096)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        yield Finding("data_dir", False, f"{folder} cannot be written to: {error.strerror}", "give its owner write permission, or make room")
        return
    loose = [str(path) for path in folder.glob("*") if path.is_file() and path.stat().st_mode & 0o077]
    advice = f"chmod 600 {' '.join(loose)}"
    yield Finding("data_dir", not loose, f"{folder}{', but others can read ' + ', '.join(loose) if loose else ''}", advice)


def _room(service: Service) -> Iterator[Finding]:
    folder = next(folder for folder in (service.data_dir, *service.data_dir.parents) if folder.exists())
    free = shutil.disk_usage(folder).free
    nodes = os.statvfs(folder).f_favail
    advice = "make room: without it no run is started, and those under way wait"
    yield Finding("disk", free >= _ROOM and nodes != 0, f"{free >> 20} MiB free on {folder}", advice)


def _file_system(service: Service) -> Iterator[Finding]:
    """Locks prove that a worker lives, and network file systems do not keep them well."""
    folder = next(folder for folder in (service.data_dir, *service.data_dir.parents) if folder.exists()).resolve()
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()] if Path("/proc/mounts").exists() else []
    below = [(point, kind) for point, kind in mounts if folder.is_relative_to(point)]
    kind = max(below, key=lambda mount: len(mount[0]), default=("", "unknown"))[1]
    yield Finding("file system", kind not in _NETWORK, kind, "keep data_dir on a local disk: locks on a network file system cannot be trusted")


def _database(service: Service) -> Iterator[Finding]:
    with service.reading() as store:
        if store is None:
            yield Finding("database", True, "not there yet")
            return
        wrong = queries.check(store)
        size = store.path.stat().st_size >> 10
        told = f"is damaged: {one_line(wrong[0])}" if wrong else f"{size} KiB, schema {NEWEST}"
        advice = DAMAGED_ADVICE
        yield Finding("database", not wrong, f"{store.path}, {told}", advice)


def _lock(service: Service) -> Iterator[Finding]:
    lock = FileLock(service.data_dir / "lock")
    if lock.path.exists() and not os.access(lock.path, os.R_OK | os.W_OK):
        yield Finding("lock", False, f"{lock.path} cannot be opened: no permission", f"chmod 600 {lock.path}")
        return
    holder = lock.holder()
    if not holder:
        yield Finding("lock", True, "free")
        return
    pid = holder.split()[0]
    alive = Path("/proc", pid).exists()
    if lock.busy():
        yield Finding(
            "lock", alive, f"held by process {holder}", "its holder is gone, yet something inherited the lock: end the process that `fuser` names"
        )
    else:
        yield Finding("lock", True, f"free (last held by process {holder}{'' if alive else ', which is gone; nothing is left of it'})")


def _local_folder(service: Service) -> Iterator[Finding]:
    if not service.local.exists():
        yield Finding("local folder", True, f"{service.local} is not there yet")
        return
    if not os.access(service.local, os.R_OK | os.X_OK):
        yield Finding("local folder", False, f"{service.local} cannot be read", f"chmod u+rx {service.local}")
        return
    problems = [problem for desired in service.desired(service.local, writing=False) for problem in desired.problems if not problem.warning]
    advice = "`ty-openworkflow validate` on it says where"
    yield Finding("local folder", not problems, f"{service.local}, {len(problems)} problems" if problems else str(service.local), advice)


def _adapters(service: Service) -> Iterator[Finding]:
    for adapter in service.adapters.values():
        yield from adapter.examine()
