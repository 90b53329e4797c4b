"""A folder as a commit has it: `--git REF`. No work tree is needed, none is touched, and every file is whole."""

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from reconciler.clock import Clock
from reconciler.errors import UnavailableError, UnreadableError, UsageError
from reconciler.git.heads import Repository, repository_of
from reconciler.git.references import check_name, fetch, resolve
from reconciler.git.tree import Laid, laid_out, lay_out
from reconciler.ground import Approach, Ground, hold_ground, unreadable
from reconciler.hands import Failure
from reconciler.model import Desired, Problem
from reconciler.state import Store
from reconciler.values import made, mutable, replace

_CODES = frozenset({"code", "input"})


@mutable
class Fetched:
    """When this process last fetched what, in seconds of a clock that only goes forward."""

    at: dict[tuple[Path, str], float] = made(default_factory=dict)


def repository_at(folder: Path) -> Repository:
    """Return the repository of a folder. Raises UsageError if it is in none."""
    repository = repository_of(folder)
    if repository is None:
        message = f"--git: {folder} is in no git repository"
        raise UsageError(message)
    return repository


def pull(folders: Iterable[Path], approach: Approach, fetched: Fetched) -> list[Failure]:
    """Fetch what the folders' commits are taken from, unless that is recent enough; returns what did not work, and leaves the last known commits."""
    if approach.pull is None:
        return []
    failed = []
    for repository in {repository.root: repository for repository in map(repository_at, folders)}.values():
        key, now = (repository.root, approach.ref), time.monotonic()
        if key in fetched.at and now - fetched.at[key] < approach.pull.total_seconds():
            continue
        fetched.at[key] = now
        try:
            fetch(repository, check_name(approach.ref))
        except UnavailableError as error:
            message = f"{error}; the last known commit of {approach.ref} is used"
            failed.append(Failure(str(repository.root), "fetch-failed", message, again=True))
    return failed


def read_commit(
    folder: Path, load: Callable[[Path], list[Desired]], store: Store | None, clock: Clock, approach: Approach, keep: Path | None
) -> list[Ground]:
    """Return what a commit declares in a folder, for each place. Its files are laid out below `keep`, or for the length of this call."""
    repository = repository_at(folder)
    standing = resolve(repository, check_name(approach.ref), fetched=approach.pull is not None)
    below = os.path.relpath(os.path.realpath(folder), repository.root)
    below = "" if below == "." else below
    try:
        if keep is None:
            with tempfile.TemporaryDirectory(prefix="ty-openworkflow-") as scratch:
                laid = lay_out(repository, standing.commit, below, Path(scratch, "commit"))
                found = load(laid.folder)
        else:
            laid = _kept(repository, standing.commit, below, keep / hashlib.sha256(os.fsencode(folder)).hexdigest()[:16])
            found = load(laid.folder)
    except UnreadableError as error:
        held = unreadable(folder, store, error)
        if not held:
            raise
        return held
    return [hold_ground(Ground(_with_unread(desired, laid), standing), store, clock, approach) for desired in found]


def _kept(repository: Repository, commit: str, below: str, home: Path) -> Laid:
    """Return a commit's files, laid out before or now. A power cut may leave files empty: those of an earlier boot are not believed."""
    target = home / f"{commit}-{_boot()}"
    laid = laid_out(target)
    if laid is not None:
        return laid
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    others = [path for path in home.iterdir() if path.is_dir()]
    before = max((path for path in others if path.name.endswith(f"-{_boot()}")), key=lambda path: path.stat().st_mtime_ns, default=None)
    building = home / f".{os.getpid()}"
    shutil.rmtree(building, ignore_errors=True)
    unread = lay_out(repository, commit, below, building, before).unread
    shutil.rmtree(target, ignore_errors=True)
    building.rename(target)
    for path in others:
        shutil.rmtree(path, ignore_errors=True)
    laid = laid_out(target)
    assert laid is not None
    assert laid.unread == unread
    return laid


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip().replace("-", "")[:12]
    except OSError:
        return "boot"


def _with_unread(desired: Desired, laid: Laid) -> Desired:
    """Add what the commit holds and cannot be read; it is told where it may be why something is wrong."""
    if not laid.unread:
        return desired
    wrong = any(problem.code in _CODES for problem in desired.problems)
    told = tuple(Problem(path, 1, 1, "", why, code="unread", warning=True) for path, why in sorted(laid.unread.items())) if wrong else ()
    return replace(desired, unread=tuple(sorted(laid.unread)), problems=desired.problems + told)
