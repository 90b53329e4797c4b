"""What `doctor` says of TaskYou: which program, which database, which project, and whether cards would be where they belong."""

import os
from collections.abc import Iterator

from reconciler.compute import Finding
from reconciler.config import TaskyouSettings
from reconciler.service import Service
from reconciler.taskyou.client import TaskYou
from reconciler.taskyou.errors import BusyError, ForeignError, MissingError, OldError, RefusedError, TaskYouError, UnclearError
from reconciler.taskyou.identity import recognise, version_of
from reconciler.taskyou.where import database_of

_SECONDS = 30.0  # behind a locked database a list takes 20 s
_OWN = "personal"  # where TaskYou puts tasks when nothing else is said


def taskyou(service: Service) -> Iterator[Finding]:
    """Look for TaskYou. Where nobody asked for it, its absence is no fault; a database that is not there is not made."""
    settings = service.settings.taskyou
    named = settings.cli != TaskyouSettings().cli
    database = database_of(settings.database)
    try:
        if not os.path.exists(database):
            program, version = version_of(settings.cli, database, timeout=_SECONDS)
        else:
            found = recognise(settings.cli, database, timeout=_SECONDS)
            program, version = found.program, found.version
    except MissingError as error:
        yield Finding("taskyou", not named, f"{'' if named else 'runs have no cards: '}{error}", "mend taskyou.cli in the settings, or leave it out")
        return
    except OldError as error:
        yield Finding("taskyou", False, str(error), "until then runs have no cards")
        return
    except ForeignError as error:
        yield Finding("taskyou", not named, f"{'' if named else 'runs have no cards: '}{error}", "mend taskyou.cli in the settings")
        return
    except TaskYouError as error:
        yield Finding("taskyou", False, str(error), _advice(error, database))
        return
    which = "" if settings.auto_create_tasks else ", cards only where a run asks for one"
    yield Finding("taskyou", True, f"{program}, version {version}{which}")
    if not os.path.exists(database):
        yield Finding("taskyou database", True, f"{database} is not there yet")
        return
    yield Finding("taskyou database", True, database)
    yield _project(settings, TaskYou(program, database, _SECONDS))


def _project(settings: TaskyouSettings, board: TaskYou) -> Finding:
    name = settings.project or _OWN
    try:
        worktrees = board.worktrees(name)
    except RefusedError as error:
        known = ", ".join(board.projects())
        return Finding("taskyou project", False, str(error), f"name one of these as taskyou.project in the settings: {known}")
    except TaskYouError as error:
        return Finding("taskyou project", False, str(error), _advice(error, board.database))
    where = "with worktrees" if worktrees else "without worktrees, so cards of failed runs are pinned in backlog and not blocked"
    return Finding("taskyou project", True, f"{name}{'' if settings.project else ' (taskyou.project is not set)'}, {where}")


def _advice(error: TaskYouError, database: str) -> str:
    match error:
        case BusyError():
            return f"something holds {database}: `fuser {database}` names it"
        case UnclearError():
            return "try the same call by hand: a hook of TaskYou may hang"
        case _:
            return f"see whether {database} (taskyou.database, WORKTREE_DB_PATH) can be opened"
