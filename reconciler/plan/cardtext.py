"""What a card in TaskYou says: a title, where it stands, and in its body what happened and what to do."""

from collections.abc import Mapping
from typing import Any

from reconciler.card import APPROVAL, ARCHIVED, BACKLOG, BLOCKED, DONE, SCHEDULE, Board, Card, Says
from reconciler.journal import encode_json
from reconciler.reasons import FOR_A_PERSON

_MOST_INPUT = 500
_MOST_ERROR = 4000


def says(card: Card, board: Board) -> Says:
    """Return what a card shall say now."""
    if card.kind == APPROVAL:
        return _approval(card, board)
    return _schedule(card, board) if card.kind == SCHEDULE else _run(card, board)


def _run(card: Card, board: Board) -> Says:
    run, task = card.about, card.about["task"] if isinstance(card.about["task"], dict) else {}
    status, reason = run["status"], run["reason"]
    stuck = not run["completed_at"] and reason in FOR_A_PERSON
    column = BLOCKED if stuck else board.column(status)
    pinned = bool(task.get("pinned")) or stuck or status == "failed"
    lines = [
        f"Run {run['name']} of workflow {run['workflow']} ({card.place.project}/{card.place.environment})",
        "",
        f"Status: {_status(run)}",
        *_error(run),
        f"Input: {_short(encode_json(run['input']), _MOST_INPUT)}",
        *([f"Output: {_short(encode_json(run['output']), _MOST_INPUT)}"] if status == "completed" else []),
        "",
        *_advice(run, board),
        f"All of it: {board.command} status {run['name']}",
        f"Logs: {board.command} logs {run['name']}",
    ]
    return Says(task.get("title") or card.spec["title"], "\n".join(lines), column, pinned)


def _status(run: Mapping[str, Any]) -> str:
    """Return status, reason and what belongs to them in one line."""
    status, reason, message = run["status"], run["reason"], run["message"]
    told = status if reason in ("", status, "parked") else f"{status} ({reason})"
    if run["due_at"] and status in ("sleeping", "waiting"):
        told += f" until {_minute(run['due_at'])}"
    if run["attempt"] > 1:
        told += f", attempt {run['attempt']}"
    if run["incarnation"] > 1:
        told += f", incarnation {run['incarnation']}"
    if run["completed_at"]:
        told += f", ended {_minute(run['completed_at'])}"
    return f"{told}: {message}" if message else told


def _minute(text: str) -> str:
    return f"{text[:16].replace('T', ' ')} UTC"


def _error(run: Mapping[str, Any]) -> list[str]:
    error = run["error"]
    if not isinstance(error, dict):
        return []
    step = f" in step {error['step']}" if error.get("step") else ""
    told = f"{error.get('name', 'Error')}: {error.get('message', '')}"
    return [f"Error{step}: {_short(told, _MOST_ERROR)}"]


def _advice(run: Mapping[str, Any], board: Board) -> list[str]:
    name = run["name"]
    if run["status"] == "failed":
        return [f"To try again what failed: {board.command} retry {name}", f"To begin anew: {board.command} rerun {name}"]
    if run["status"] == "waiting":
        return ["What it waits for, and how to answer, is told by the next command."]
    if not run["completed_at"] and run["reason"] in FOR_A_PERSON:
        return ["It does not go on by itself: a person must decide."]
    return []


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}... ({len(text)} characters)"


def _approval(card: Card, board: Board) -> Says:
    spec = card.spec
    over = card.over
    lines = [*([spec["description"], ""] if spec.get("description") else []), f"Run {spec['run']} waits for this approval."]
    if over:
        why = card.extra.removeprefix("over: ") or f"the run has ended ({card.about['status']})"
        lines = [*lines[:-1], f"Run {spec['run']} does not wait for this approval any more: {why}."]
    else:
        until = f" It waits until {spec['until']}." if spec.get("until") else ""
        lines += [
            f"To approve: mark this card as done.{until}",
            f"To send something else: {board.command} signal {spec['run']} {spec['signal']} --data JSON",
            f"To see the run: {board.command} status {spec['run']}",
        ]
    return Says(spec["title"], "\n".join(lines), DONE if over else BLOCKED, pinned=False)


def _schedule(card: Card, board: Board) -> Says:
    name, run = card.object.partition("/")[2], card.about
    lines = [f"Schedule {name} ({card.place.project}/{card.place.environment})", ""]
    if run["removed"]:
        return Says(card.spec["title"], "\n".join([*lines, "It is not declared any more."]), ARCHIVED, pinned=False)
    if run["status"] == "failed":
        lines += [
            f"It fails, since run {run['name']} of workflow {run['workflow']}",
            f"Status: {_status(run)}",
            *_error(run),
            "",
            f"To try that run again: {board.command} retry {run['name']}",
        ]
    else:
        lines += ["All is well."]
    lines.append(f"All of it: {board.command} status schedule/{name}")
    return Says(card.spec["title"], "\n".join(lines), BLOCKED if run["status"] == "failed" else BACKLOG, pinned=run["status"] == "failed")
