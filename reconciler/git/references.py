"""The commit that a name stands for, fetched first where that is asked for, into references of our own."""

import re
from collections.abc import Sequence

from reconciler.errors import UnavailableError, UsageError
from reconciler.git.call import run_git
from reconciler.git.heads import Repository
from reconciler.git.history import ask_branches
from reconciler.model import Standing

_OURS = "refs/ty-openworkflow"
_PLAIN = re.compile(r"[A-Za-z0-9_.@+-][^\s~^:?*\[\\\x00-\x1f\x7f]*")
# An empty map keeps the fetch from also moving the references that the user's own fetches move.
_FETCH = ("fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head", "--no-auto-maintenance", "--refmap=")


def check_name(name: str) -> str:
    """Return a name of a commit if git cannot take it for anything else. Raises UsageError."""
    if not name or name.startswith("-") or not name.isprintable():
        message = f"--git {name!r}: name a branch, a tag or a commit"
        raise UsageError(message)
    return name


def fetch(repository: Repository, name: str) -> None:
    """Fetch a branch or a tag into references of our own; the user's branches, tags and work tree stay as they are.

    Raises UnavailableError, and UsageError for a name that cannot be fetched.
    """
    remote, branch = _upstream(repository, name)
    depth = ("--update-shallow",) if (repository.common / "shallow").is_file() else ()
    failure = None
    for kind in ("heads", "tags"):
        refspec = f"+refs/{kind}/{branch}:{_OURS}/{remote}/{kind}/{branch}"
        try:
            run_git(repository.root, *_FETCH, *depth, "--end-of-options", remote, refspec)
        except UnavailableError as error:
            if "couldn't find remote ref" not in str(error):
                raise
            failure = failure or error
        else:
            return
    message = f"{remote} has no branch and no tag {branch!r}"
    raise UnavailableError(message) from failure


def resolve(repository: Repository, name: str, *, fetched: bool) -> Standing:
    """Return the commit that a name stands for, with the branches that it counts as; what was fetched goes first. Raises UnavailableError."""
    candidates = [(name, "")]
    if fetched:
        remote, branch = _upstream(repository, name)
        candidates = [(f"{_OURS}/{remote}/heads/{branch}", branch), (f"{_OURS}/{remote}/tags/{branch}", ""), *candidates]
    for candidate, branch in candidates:
        commit = _commit(repository, candidate)
        if commit:
            known = frozenset({branch}) if branch else _branches(repository, name, commit)
            return Standing(str(repository.root), branch or (name if name in known else ""), commit, known)
    message = f"{repository.root} has no commit {name!r}" + (": `--pull 1m` fetches it first" if not fetched else "")
    raise UnavailableError(message)


def _commit(repository: Repository, name: str) -> str:
    try:
        return (
            run_git(repository.root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}").decode().strip().splitlines()[-1]
        )
    except (UnavailableError, IndexError):
        return ""


def _branches(repository: Repository, name: str, commit: str) -> frozenset[str]:
    """Return the branch that a name is, else all branches whose commit it is."""
    try:
        full = (
            run_git(repository.root, "rev-parse", "--symbolic-full-name", "--verify", "--quiet", "--end-of-options", name)
            .decode()
            .strip()
            .splitlines()
        )
    except UnavailableError:
        full = []
    if full and full[-1].startswith("refs/heads/"):
        return frozenset({full[-1].removeprefix("refs/heads/")})
    if full and full[-1].startswith("refs/remotes/") and not full[-1].endswith("/HEAD"):
        return frozenset({full[-1].removeprefix("refs/remotes/").partition("/")[2]})
    return ask_branches(repository.root, commit)


def _upstream(repository: Repository, name: str) -> tuple[str, str]:
    """Return the remote and the branch that a name is fetched from. Raises UsageError."""
    branch = _head(repository) if name == "HEAD" else name.removeprefix("refs/heads/")
    remotes = _lines(repository, "remote")
    if not remotes:
        message = f"--pull: {repository.root} has no remote to fetch from"
        raise UsageError(message)
    own = _lines(repository, "config", "--get", f"branch.{branch}.remote")
    merge = _lines(repository, "config", "--get", f"branch.{branch}.merge")
    if own and merge and own[0] in remotes:
        return own[0], merge[0].removeprefix("refs/heads/")
    named, _, rest = branch.removeprefix("refs/remotes/").partition("/")
    if named in remotes and rest:
        remote, branch = named, rest
    else:
        remote = "origin" if "origin" in remotes else remotes[0]
    if not _PLAIN.fullmatch(branch) or ".." in branch or "@{" in branch or re.fullmatch(r"[0-9a-f]{40,64}", branch):
        message = f"--pull needs a branch or a tag, not {branch!r}"
        raise UsageError(message)
    return remote, branch


def _head(repository: Repository) -> str:
    found = _lines(repository, "symbolic-ref", "--quiet", "--short", "HEAD")
    if not found:
        message = "--pull needs a branch or a tag, and HEAD is detached"
        raise UsageError(message)
    return found[0]


def _lines(repository: Repository, *words: str) -> Sequence[str]:
    try:
        return run_git(repository.root, *words).decode(errors="replace").split("\n")[:-1]
    except UnavailableError:
        return ()
