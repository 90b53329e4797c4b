"""Projects: who owns a card, and whether an agent gets a worktree of its own."""

from __future__ import annotations

import os

from .answer import FailedError, styled
from .clock import rfc3339

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .call import Call
    from .store import Row, Store


def find(store: Store, name: str) -> Row | None:
    """Return the project of that name or alias."""
    for project in _all(store):
        if project["name"] == name or name in [alias.strip() for alias in project["aliases"].split(",") if alias.strip()]:
            return project
    return None


def around(store: Store, folder: str) -> Row | None:
    """Return the project whose path holds `folder`."""
    return next((project for project in _all(store) if f"{folder}/".startswith(f"{project['path']}/")), None)


def listed(call: Call) -> None:
    """`projects list`."""
    from .gojson import dumps

    shown = [_brief(call.store, project) for project in _all(call.store)]
    if call.given.on("json"):
        call.answer.say(dumps(shown))
        return
    for project in shown:
        call.answer.say(f"{project['name']}  {project['path']}  ({project['task_count']} tasks)")


def show(call: Call) -> None:
    """`projects show NAME`."""
    from .gojson import dumps

    name = call.given.words[0]
    project = find(call.store, name)
    if project is None:
        text = styled(f"Project '{name}' not found")
        raise FailedError(text)
    shown = {
        "aliases": project["aliases"],
        "color": project["color"],
        "created_at": rfc3339(project["created_at"]),
        "default_permission_mode": "auto",
        "id": project["id"],
        "instructions": project["instructions"],
        "name": project["name"],
        "path": project["path"],
        "task_count": _count(call.store, project),
        "use_worktrees": bool(project["use_worktrees"]),
    }
    if call.given.on("json"):
        call.answer.say(dumps(shown, "  "))
        return
    for key, value in shown.items():
        call.answer.say(f"{key}: {value}")


def add(store: Store, name: str, path: str, *, worktrees: bool, aliases: str = "") -> None:
    """Add a project, as a person does in the board."""
    from .database import PROJECT

    os.makedirs(path, exist_ok=True)
    values = {"color": "#61AFEF", "aliases": aliases, "instructions": "", "use_worktrees": int(worktrees)}
    store.database.write("create project", PROJECT, name=name, path=path, created_at=store.clock.now(), **values)


def types(call: Call) -> None:
    """`types`: the three that are built in."""
    from .gojson import dumps

    shown: list[object] = [
        {"id": at, "name": name, "label": name.title(), "instructions": f"Instructions for {name}.", "sort_order": at, "is_builtin": True}
        for at, name in enumerate(("code", "writing", "thinking"), 1)
    ]
    call.store.database.rows("SELECT 1")
    call.answer.say(dumps(shown, "  ") if call.given.on("json") else "Task Types\n\n  code [builtin]\n  writing [builtin]\n  thinking [builtin]")


def _all(store: Store) -> list[Row]:
    return store.database.rows("SELECT * FROM projects ORDER BY name")


def _brief(store: Store, project: Row) -> Row:
    shown = {
        "color": project["color"],
        "created_at": rfc3339(project["created_at"]),
        "id": project["id"],
        "name": project["name"],
        "path": project["path"],
        "task_count": _count(store, project),
    }
    shown |= {"has_instructions": True} if project["instructions"] else {}
    shown |= {"aliases": project["aliases"]} if project["aliases"] else {}
    return dict(sorted(shown.items()))


def _count(store: Store, project: Row) -> int:
    counted = "SELECT count(*) AS number FROM tasks WHERE project = :name AND deleted_at IS NULL"
    return int(store.database.rows(counted, name=project["name"])[0]["number"])
