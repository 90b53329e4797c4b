"""The commands that only look."""

from __future__ import annotations

from .clock import minute, rfc3339
from .gojson import dumps
from .store import ENDED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .call import Call
    from .store import Row

_LIMIT = 50
_COLUMNS = (("backlog", "Backlog"), ("processing", "In Progress"), ("blocked", "Blocked"), ("done", "Done"))
_ORDER = "pinned DESC, CASE WHEN status IN ('done', 'blocked') THEN completed_at ELSE created_at END DESC, id DESC"


def listed(call: Call) -> None:
    """`list`: no closed and no trashed cards by default, fifty of them, pinned first."""
    given = call.given
    wanted = {name: given.text(name) for name in ("status", "type", "project", "tag")}
    rows = _found(call, wanted, closed=given.on("all"), limit=given.number("limit", _LIMIT))
    if given.on("json"):
        call.answer.say(dumps([_item(row) for row in rows] or None))
        return
    if not rows:
        call.answer.say("No tasks found")
    for row in rows:
        call.answer.say(f"#{row['id']:<4} {row['status']:<10} [{row['project']}] {row['title']}")


def show(call: Call) -> None:
    """`show N`: also a trashed card, without a sign of it."""
    row = call.store.task(call.task_number())
    logs = call.store.database.rows("SELECT * FROM task_logs WHERE task_id = :id ORDER BY id DESC", id=row["id"])
    if not call.given.on("json"):
        _show_text(call, row, logs)
        return
    shown: dict[str, object] = {name: row[name] for name in ("body", "branch", "executor", "id", "project", "status", "title", "type", "worktree")}
    shown |= {"claude_pane_id": "", "shell_pane_id": "", "summary": ""}
    shown |= {name: rfc3339(row[name]) for name in ("created_at", "updated_at", "started_at", "completed_at") if row[name]}
    if call.given.on("logs"):
        shown["logs"] = [{"content": log["content"], "created_at": rfc3339(log["created_at"]), "type": log["type"]} for log in logs] or None
    call.answer.say(dumps(dict(sorted(shown.items())), "  "))


def dependencies(call: Call) -> None:
    """`deps N`: text only."""
    row = call.store.task(call.task_number())
    blockers, dependents = call.store.blockers(row["id"]), call.store.dependents(row["id"])
    call.answer.say(f"Task #{row['id']}: {row['title']}\n")
    if not blockers and not dependents:
        call.answer.say("No dependencies")
    if blockers:
        lines = [f"  #{other['id']}: {other['title']} [{'done' if other['status'] in ENDED else other['status']}]" for other in blockers]
        call.answer.say("\n".join(["Blocked by:", *lines, ""]))
    if dependents:
        lines = [f"  #{other['id']}: {other['title']} [{other['status']}]" for other in sorted(dependents, key=lambda other: int(other["id"]))]
        call.answer.say("\n".join(["Blocks:", *lines]))


def trash(call: Call) -> None:
    """`trash`: what was deleted and can be restored."""
    rows = call.store.database.rows("SELECT * FROM tasks WHERE deleted_at IS NOT NULL ORDER BY deleted_at DESC, id DESC")
    for row in rows:
        call.answer.say(f"#{row['id']:<5} {row['title']}  (trashed {_ago(call.clock.age(row['deleted_at']))} ago)")
    if not rows:
        call.answer.say("Trash is empty")


def events(call: Call) -> None:
    """`events list`: newest second first; within a second as the real program's indexes give them."""
    given = call.given
    asked = {"task_id": given.number("task") or None, "event_type": given.text("type") or None}
    conditions = " AND ".join(f"{name} = :{name}" for name, value in asked.items() if value) or "1"
    order = "ASC" if any(asked.values()) else "DESC"
    statement = f"SELECT * FROM event_log WHERE {conditions} ORDER BY created_at DESC, id {order} LIMIT :limit"
    rows = call.store.database.rows(statement, **{name: value for name, value in asked.items() if value}, limit=given.number("limit", 50))
    shown = [
        {**{name: row[name] for name in ("id", "event_type", "task_id", "message")}, "metadata": "", "created_at": rfc3339(row["created_at"])}
        for row in rows
    ]
    if given.on("json"):
        call.answer.say(dumps(shown or None, "  "))
        return
    for row in rows:
        call.answer.say(f"{row['created_at']}  {row['event_type']}  #{row['task_id']}  {row['message']}")


def board(call: Call) -> None:
    """`board`: the four columns."""
    rows = _found(call, {}, closed=True, limit=500)
    limit = call.given.number("limit", 5)
    limit = limit if limit > 0 else 5
    columns = []
    for status, label in _COLUMNS:
        inside = [row for row in rows if row["status"] == status or (status == "processing" and row["status"] == "queued")]
        columns.append({"status": status, "label": label, "count": len(inside), "tasks": [_card(call, row) for row in inside[:limit]] or None})
    if call.given.on("json"):
        call.answer.say(dumps({"columns": columns}, "  "))
        return
    for column in columns:
        call.answer.say(f"{column['label']} ({column['count']})")


def _found(call: Call, wanted: dict[str, str], *, closed: bool, limit: int) -> list[Row]:
    conditions, values = ["deleted_at IS NULL"], dict[str, object]()
    for name in ("status", "type"):
        if wanted.get(name):
            conditions.append(f"{name} = :{name}")
            values[name] = wanted[name]
    if wanted.get("project"):
        from .projects import find

        project = find(call.store, wanted["project"])
        conditions.append("project = :project")
        values["project"] = project["name"] if project else wanted["project"]
    if wanted.get("tag"):
        conditions.append("instr(lower(',' || replace(tags, ' ', '') || ','), lower(:tag)) > 0")
        values["tag"] = "," + wanted["tag"].replace(" ", "") + ","
    if not wanted.get("status") and not closed:
        conditions.append("status NOT IN ('done', 'archived')")
    statement = f"SELECT * FROM tasks WHERE {' AND '.join(conditions)} ORDER BY {_ORDER} LIMIT :limit"
    return call.store.database.rows(statement, **values, limit=limit if limit > 0 else 100)


def _item(row: Row) -> Row:
    shown = {name: row[name] for name in ("id", "project", "status", "title", "type")}
    return {"created_at": rfc3339(row["created_at"]), **shown}


def _card(call: Call, row: Row) -> Row:
    since = row["completed_at"] if row["status"] == "done" and row["completed_at"] else row["created_at"]
    word = row["status"] if row["status"] in {"done", "blocked"} else "created"
    hint = f"{word} {_ago(call.clock.age(since))}"
    return {**{name: row[name] for name in ("id", "title", "project", "type")}, "pinned": bool(row["pinned"]), "age_hint": hint}


def _show_text(call: Call, row: Row, logs: list[Row]) -> None:
    lines = [f"Task #{row['id']}: {row['title']}", "─" * 50, f"Status:   {row['status']}", f"Type:     {row['type']}", f"Project:  {row['project']}"]
    lines += [
        f"{label} {minute(row[name])}"
        for label, name in (("Created: ", "created_at"), ("Started: ", "started_at"), ("Completed:", "completed_at"))
        if row[name]
    ]
    lines += ["", "Description:", row["body"]] if row["body"] else []
    if call.given.on("logs"):
        lines += ["", "Execution Log:", *[f"{minute(log['created_at'])} [{log['type']}] {log['content']}" for log in logs]]
    call.answer.say("\n".join(lines))


def _ago(seconds: int) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{seconds // length}{unit}"
    return f"{max(seconds, 0)}s"
