"""What can go wrong between us and TaskYou. None of it ever alters a run."""

import re
from functools import cache

from reconciler.errors import TyOpenworkflowError
from reconciler.taskyou.text import shown

_COLOUR = r"\x1b\[[0-9;?]*[ -/]*[@-~]"


class TaskYouError(TyOpenworkflowError):
    """TaskYou did not do what it was asked for; the same call may work later."""


class MissingError(TaskYouError):
    """The program is not there, or cannot be started."""


class ForeignError(TaskYouError):
    """The program is not TaskYou, or not one that we can use."""


class OldError(ForeignError):
    """It is TaskYou, and lacks what we need of it."""


class BusyError(TaskYouError):
    """Its database was locked for as long as it waits."""


class ElsewhereError(TaskYouError):
    """Another process of this installation speaks with TaskYou, and no call was made. Nothing is wrong with that."""


class UnclearError(TaskYouError):
    """The call did not end as calls do: what it was to change may be changed or not. Look before asking again."""


class RefusedError(TaskYouError):
    """The same call will not work before something changes: its arguments, or what TaskYou knows."""


class GoneError(TaskYouError):
    """There is no such task."""


@cache
def _known() -> tuple[tuple[type[TaskYouError], re.Pattern[str]], ...]:
    """Return what errors look like: whole lines, so that a name which is quoted in a message is not taken for one."""
    return (
        (GoneError, re.compile(r"(?:Task|Blocker task|Blocked task) #\d+ not found")),
        (
            RefusedError,
            re.compile(
                r"project not found: .*|Project '.*' not found|Invalid (?:task ID: .*|(?:type|executor|status)\. Must be .*)"
                r"|unknown (?:flag|shorthand flag|command).*|flag needs an argument.*|invalid argument .*|accepts .* arg\(s\).*"
                r"|either title or --body must be provided|adding this dependency would create a cycle|dependency not found"
                r"|.*constraint failed: UNIQUE constraint failed: .*|plugin \".*\" has no action .*|action .* failed: .*|.* already exists and is not a git checkout.*"
            ),
        ),
        (BusyError, re.compile(r".*(?:database is locked|database table is locked|SQLITE_BUSY|SQLITE_LOCKED).*")),
    )


def failure(name: str, status: int, told: str) -> TaskYouError:
    """Return the error of a call (`ty create`) that ended with an exit status other than 0 and these words."""
    lines = [line for line in map(_plain, told.splitlines()) if line and not line.startswith("warning: ")]
    said = next((line for line in lines if line.startswith("Error: ")), lines[0] if lines else "it did not say why").removeprefix("Error: ")
    for line in lines:
        for kind, pattern in _known():
            if pattern.fullmatch(line.removeprefix("Error: ")):
                return kind(f"{name}: {shown(line.removeprefix('Error: '))}")
    if status != 1:  # the only one that it chooses itself
        return UnclearError(f"{name}: ended with exit status {status}: {shown(said)}")
    return TaskYouError(f"{name}: {shown(said)}")


def _plain(line: str) -> str:
    return re.sub(_COLOUR, "", line).strip()
