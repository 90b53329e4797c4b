"""The commands that change cards."""

from __future__ import annotations

import os

from .answer import FailedError, error, styled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .call import Call
    from .store import Row

STATUSES = ("backlog", "queued", "processing", "blocked", "done", "archived")
_TYPES = ("code", "writing", "thinking")
_EXECUTORS = ("claude", "codex", "gemini", "grok", "pi", "opencode", "openclaw")
_EFFORTS = ("low", "medium", "high", "xhigh", "max")


def create(call: Call) -> None:
    """Add a card, in `backlog` unless it is handed to an agent at once."""
    from .gojson import dumps

    given = call.given
    title, body = given.words[0] if given.words else "", _unescaped(given.text("body"))
    if not title.strip() and not body.strip():
        text = "either title or --body must be provided"
        raise error(text)
    store = call.store
    _check_choices(call)
    title = title if title.strip() else _title_from(body)
    task = store.create(
        {
            "title": title,
            "body": body,
            "status": "queued" if given.on("execute") else "backlog",
            "type": given.text("type") or "code",
            "project": _project(call),
            "executor": given.text("executor") or "claude",
            "tags": given.text("tags"),
            "pinned": int(given.on("pinned")),
            "effort_level": given.text("effort").strip().lower(),
            "model": given.text("model").strip(),
            "source_branch": given.text("branch"),
        }
    )
    if given.on("json"):
        shown = {name: task[name] for name in ("id", "title", "status", "type", "project", "executor")}
        shown |= {name: task[name] for name in ("source_branch", "effort_level", "model") if task[name]}
        call.answer.say(dumps(dict(sorted(shown.items()))))
    else:
        queued = " (queued for execution)" if given.on("execute") else ""
        call.answer.say(styled(f"Created task #{task['id']}: {title}{queued}"))


def update(call: Call) -> None:
    """Read the whole row, change what was given, write the whole row."""
    number, given = call.task_number(), call.given
    store = call.store
    _check_choices(call)
    task = store.task(number)
    changed = {name: given.text(name) for name in ("title", "type", "executor") if given.text(name)}
    changed |= {name: given.flags[name] for name in ("project", "tags") if name in given.flags}
    task.update(changed)
    if "body" in given.flags:
        task["body"] = _unescaped(given.flags["body"])
    if "pinned" in given.flags:
        task["pinned"] = int(given.on("pinned"))
    call.between()
    store.update(task)
    call.answer.say(f"Updated task #{number}")


def status(call: Call) -> None:
    """Move a card to any column."""
    number, wanted = call.task_number(), call.given.words[1].strip().lower()
    if wanted not in STATUSES:
        text = f"Invalid status. Must be one of: {', '.join(STATUSES)}"
        raise FailedError(text)
    call.store.task(number)
    call.store.set_status(number, wanted)
    call.answer.say(f"Task #{number} moved to {wanted}")


def close(call: Call) -> None:
    """Move a card to `done`, once."""
    task = call.store.task(call.task_number())
    if task["status"] == "done":
        call.answer.say(f"Task #{task['id']} is already done")
        return
    call.store.set_status(task["id"], "done")
    call.answer.say(styled(f"Closed task #{task['id']}: {task['title']}"))


def complete(call: Call) -> None:
    """Move a card to `done` with a line in its log, however often."""
    call.given.words[0] = call.given.words[0].removeprefix("#")
    number, summary = call.task_number(), call.given.text("summary")
    call.store.task(number)
    call.store.log(number, "system", f"Task completed: {summary}" if summary else "Task completed")
    call.store.set_status(number, "done")
    call.answer.say(f"Task #{number} marked done.")


def pin(call: Call) -> None:
    """Pin a card, unpin it, or the other of the two."""
    task = call.store.task(call.task_number())
    pinned = not task["pinned"] if call.given.on("toggle") else not call.given.on("unpin")
    call.store.set_pinned(task["id"], pinned=pinned)
    call.answer.say(f"Task #{task['id']} {'pinned' if pinned else 'unpinned'}")


def block(call: Call) -> None:
    """Let a card wait for another."""
    blocked, blocker = call.task_number(), _other(call, "by")
    for number, role in ((blocker, "Blocker"), (blocked, "Blocked")):
        if call.store.find(number) is None:
            text = f"{role} task #{number} not found"
            raise FailedError(text)
    auto = call.given.on("auto-queue")
    call.store.block(blocked, blocker, auto_queue=auto)
    call.answer.say(f"Task #{blocked} is now blocked by #{blocker}{' (will auto-queue when unblocked)' if auto else ''}")


def unblock(call: Call) -> None:
    """Take an edge away."""
    blocked, blocker = call.task_number(), _other(call, "from")
    call.store.unblock(blocked, blocker)
    call.answer.say(f"Task #{blocked} is no longer blocked by #{blocker}")


def delete(call: Call) -> None:
    """Hide a card, or remove it for good."""
    task, hard = call.store.task(call.task_number()), call.given.on("hard")
    number = task["id"]
    asked = f"{'Permanently delete' if hard else 'Trash'} task #{number}: {task['title']}? [y/N] "
    if not call.given.on("force") and not _agreed(call, asked):
        return
    if hard:
        call.store.delete(number)
        call.answer.say(f"Permanently deleted task #{number}")
    else:
        call.store.trash(number)
        call.answer.say(f"Trashed task #{number} — restore with 'task restore {number}'")


def restore(call: Call) -> None:
    """Bring a trashed card back."""
    number = call.store.task(call.task_number())["id"]
    call.store.restore(number)
    call.answer.say(f"Restored task #{number}")


def move(call: Call) -> None:
    """Give a card to another project: the old row is removed, a new one with the same text is made."""
    number, name = call.task_number(), call.given.words[1]
    from .projects import find

    project, task = find(call.store, name), call.store.task(number)
    if project is None:
        text = f"Project '{name}' not found"
        raise FailedError(text)
    if task["project"] == project["name"]:
        call.answer.say(f"Task #{number} is already in project '{name}'")
        return
    if not call.given.on("force") and not _agreed(call, f"Move task #{number} from '{task['project']}' to '{name}'? [y/N] "):
        return
    call.store.delete(number)
    kept = {key: task[key] for key in ("title", "body", "type", "executor", "tags", "effort_level", "model", "source_branch")}
    status = "backlog" if task["status"] in {"processing", "blocked"} else task["status"]
    made: Row = call.store.create({**kept, "status": status, "project": project["name"], "pinned": 0})
    call.answer.say(f"Moved task #{number} to project '{name}' (new task #{made['id']})")


def execute(call: Call) -> None:
    """Hand a card to an agent; nothing of ours may ever do that."""
    task = call.store.task(call.task_number())
    if task["status"] in {"queued", "processing"}:
        call.answer.say(f"Task #{task['id']} is already {task['status']}")
        return
    call.store.set_status(task["id"], "queued")
    call.answer.say(styled(f"Queued task #{task['id']}: {task['title']} (auto mode)"))


def retry(call: Call) -> None:
    """Hand a card to an agent again."""
    task = call.store.task(call.task_number())
    call.store.set_status(task["id"], "queued")
    call.answer.say(styled(f"Retrying task #{task['id']}: {task['title']}"))


def _unescaped(body: str) -> str:
    """Return a body as it is stored: a backslash before `n` is a line break, also behind another backslash."""
    return body.replace("\\n", "\n")


def _title_from(body: str) -> str:
    first = body.strip().split("\n")[0]
    return first[:50] + "..." if len(first) > 50 else first


def _check_choices(call: Call) -> None:
    """Refuse a type, an executor or an effort that is none."""
    for name, plural, choices in (("type", "type", _TYPES), ("executor", "executor", _EXECUTORS), ("effort", "effort", _EFFORTS)):
        value = call.given.text(name)
        if value and value not in choices:
            text = f"Invalid {plural}. Must be one of: {', '.join(choices)}"
            raise FailedError(text)


def _project(call: Call) -> str:
    """Return the project's own name for what was given, else the project around the working folder, else `personal`."""
    from .projects import around, find

    name = call.given.text("project")
    unknown = name in call.settings.get("unknown_projects", ()) or "*" in call.settings.get("unknown_projects", ())
    project = None if unknown else find(call.store, name) if name else around(call.store, os.getcwd())
    if name and project is None:
        text = f"project not found: {name}"
        raise error(text)
    return project["name"] if project else "personal"


def _other(call: Call, flag: str) -> int:
    number = call.given.number(flag)
    if not number:
        text = f"--{flag} flag is required"
        raise FailedError(text)
    return number


def _agreed(call: Call, question: str) -> bool:
    """Ask on standard input; no answer is no, and no error."""
    call.answer.out.append(question)
    agreed = os.read(0, 100).decode(errors="replace").strip().lower() in {"y", "yes"}
    if not agreed:
        call.answer.say("Cancelled")
    return agreed
