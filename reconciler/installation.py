"""What a data folder says of itself: the installation's id, the machine that it belongs to, and whether it was closed."""

import os
from contextlib import suppress
from pathlib import Path

from reconciler.errors import HeldError

ID, MACHINE, FENCE = "installation", "machine", "fenced"
_MACHINE_IDS = ("/etc/machine-id", "/var/lib/dbus/machine-id")


def scope_of(data_dir: Path) -> str:
    """Return the random id of an installation; empty where nothing was ever written."""
    return _text(data_dir / ID)


def make_scope(data_dir: Path) -> bool:
    """Make the id of an installation, in a file of its own, so that it outlives the database; say whether there was none."""
    path = data_dir / ID
    if path.exists():
        return False
    import secrets

    temporary = path.with_suffix(f".{os.getpid()}")
    _write(temporary, secrets.token_hex(8))
    with suppress(FileExistsError):
        os.link(temporary, path)  # the first one counts
    temporary.unlink()
    return True


def machine() -> str:
    """Return what stands for this machine, empty where nothing does (as in most containers)."""
    import hashlib

    for path in _MACHINE_IDS:
        found = _text(Path(path))
        if found:
            return hashlib.sha256(f"ty-openworkflow {found}".encode()).hexdigest()[:16]
    return ""


def _here(data_dir: Path) -> str:
    """Return what stands for this machine and this very folder: a copy of it has its files under other inodes. Empty where nothing stands for the machine."""
    present = machine()
    try:
        return f"{present} {(data_dir / ID).stat().st_ino}" if present else ""
    except OSError:
        return present


def _same(before: str, now: str) -> bool:
    """Say whether a folder is where it was; older programs wrote no inode."""
    return before == now or before == now.partition(" ")[0]


def check(data_dir: Path, *, look_only: bool = False) -> bool:
    """Check that a data folder may be written to from here; say whether it was another machine's, which is fine for CI: its state is carried in a cache.

    Raises HeldError for one that was closed, or copied from another machine or folder: the runs in it may go on there.
    """
    fence = _text(data_dir / FENCE)
    if fence:
        message = f"{data_dir} is closed ({fence}): nothing goes on here. If its runs go on nowhere else: {_reopen(data_dir)}"
        raise HeldError(message)
    before, now = _text(data_dir / MACHINE), _here(data_dir)
    if not before or not now or _same(before, now):
        if now and before != now and not look_only and (data_dir / ID).exists():
            _write(data_dir / MACHINE, now)
        return False
    if os.environ.get("CI") == "true":
        if not look_only:
            _write(data_dir / MACHINE, now)
        return True
    what = "is a copy of another folder" if before.partition(" ")[0] == now.partition(" ")[0] else "belongs to another machine"
    message = f"{data_dir} {what}, where its runs may go on: nothing is done here. If this is its only place from now on: {_reopen(data_dir)}"
    raise HeldError(message)


def _reopen(data_dir: Path) -> str:
    from shlex import quote

    return f"`ty-openworkflow --data-dir {quote(str(data_dir))} state restore --here`"


def settle(data_dir: Path) -> None:
    """Say that a data folder belongs to this machine, and goes on here."""
    present = _here(data_dir)
    if present:
        _write(data_dir / MACHINE, present)
    (data_dir / FENCE).unlink(missing_ok=True)


def fence(data_dir: Path, why: str) -> None:
    """Close a data folder: whoever would write there is told `why` it is refused."""
    _write(data_dir / FENCE, why)


def fence_of(data_dir: Path) -> str:
    """Return why a data folder is closed, empty if it is not."""
    return _text(data_dir / FENCE)


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (FileNotFoundError, NotADirectoryError):
        return ""


def _write(path: Path, text: str) -> None:
    """Write a small file, whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with open(temporary, "w", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)
