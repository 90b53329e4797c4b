"""What people asked to see, as text: plans, passes, lists, one object."""

import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from reconciler.actions import Change, Notice, Plan
from reconciler.duration import format_duration
from reconciler.recorded import Asked

_CODES = {"green": "32", "red": "31", "yellow": "33", "blue": "34", "dim": "2", "bold": "1"}
_SYMBOLS = {"+": "green", "~": "yellow", "-": "red", ">": "blue", "!": "red", "=": "dim"}
_STATUSES = {"completed": "green", "failed": "red", "canceled": "yellow", "skipped": "yellow", "running": "blue", "canceling": "yellow"}
_UNSAFE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_SHORT = 100
_ASKED = {"suspend": "suspended", "resume": "resumed", "cancel": "canceled", "rerun": "run again"}
_WIDEST = 100
_MOST_STEPS, _FIRST_STEPS = 60, 20


def plain(text: str) -> str:
    """Make text of users safe for a terminal: control characters and those that turn the direction of writing are shown, not obeyed."""
    return _UNSAFE.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def one_line(text: str, most: int = _SHORT) -> str:
    """Make text safe and fit for one line."""
    line = plain(" ".join(text.split()))
    return line if len(line) <= most else line[: most - 1] + "…"


class Paint:
    """Colours, on a terminal only, and not where NO_COLOR is set."""

    def __init__(self, stream: Any = None) -> None:
        """Look at the stream that will be written to."""
        stream = stream or sys.stdout
        self.on = bool(stream.isatty()) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"

    def __call__(self, text: str, colour: str | None) -> str:
        """Return `text` in a colour."""
        return f"\033[{_CODES[colour]}m{text}\033[0m" if self.on and colour else text

    def status(self, status: str) -> str:
        """Return a status in its colour."""
        return self(status, _STATUSES.get(status))


def head_line(what: str, source: Mapping[str, Any]) -> str:
    """Return the first line of a plan or a pass: which folder, project, environment and commit."""
    git = ""
    if source.get("commit"):
        git = f"  {source.get('branch') or 'detached'}@{source['commit'][:12]}{' (dirty)' if source.get('dirty') else ''}"
    return f"{what}: {plain(source['folder'])}  project {source['project']}  environment {source['environment']}{git}"


def plan_lines(plan: Plan, paint: Paint, now: datetime | None = None) -> list[str]:
    """Return a plan, one line an object, and below it what is rejected or held, has drifted, or was asked for by command and holds."""
    rows = [_change_row(change) for change in plan.changes]
    lines = aligned(rows, paint)
    for title, notices, symbol in (("Rejected", plan.rejected, "!"), ("Held", plan.held, "!"), ("Drift", plan.drift, "~")):
        if notices:
            lines.append(f"{title}:")
            for row, notice in zip(aligned([_notice_row(symbol, notice) for notice in notices], paint), notices, strict=True):
                lines += [row, *(f"      {plain(line)}" for line in notice.message.splitlines()[1:])]
    if plan.asked:
        lines.append("Requests:")
        lines += aligned([("=", asked.object, _ASKED.get(asked.verb, asked.verb), asked_text(asked, now)) for asked in plan.asked], paint)
    return lines


def asked_text(asked: Asked, now: datetime | None) -> str:
    """Say who asked for something, when and why: `by ana 2h ago: the database is down`."""
    when = f"at {asked.at:%Y-%m-%dT%H:%M:%SZ}" if now is None else f"{format_duration(now - asked.at)} ago"
    return f"by {plain(asked.who)} {when}{f': {one_line(asked.why)}' if asked.why else ''}"


def _change_row(change: Change) -> tuple[str, ...]:
    return (change.symbol, f"{change.kind}/{change.name}", change.action, one_line(change.reason, 80), _where(change.source.file, change.source.line))


def _notice_row(symbol: str, notice: Notice) -> tuple[str, ...]:
    return (symbol, notice.object, notice.reason, plain(notice.message.partition("\n")[0]), _where(notice.source.file, notice.source.line))


def _where(file: str, line: int) -> str:
    return f"{plain(file)}:{line}" if file and line else plain(file)


def aligned(rows: Sequence[tuple[str, ...]], paint: Paint) -> list[str]:
    """Return rows as columns; the first column is a symbol and gives the colour."""
    if not rows:
        return []
    widths = [min(_WIDEST, max(len(row[column]) for row in rows)) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append(f"  {paint(row[0], _SYMBOLS.get(row[0]))} {'  '.join(cells).rstrip()}")
    return lines


def plan_footer(plan: Plan, seconds: float) -> str:
    """Return counts and time: `3 changes (2 start, 1 deploy), 4 unchanged, 41 ms`."""
    counts: dict[str, int] = {}
    for change in plan.changes:
        counts[change.action] = counts.get(change.action, 0) + 1
    total = sum(counts.values())
    details = ", ".join(f"{number} {action}" for action, number in sorted(counts.items()))
    parts = [f"{plural(total, 'change')} ({details})" if total else "No changes"]
    parts += [f"{len(notices)} {word}" for word, notices in (("rejected", plan.rejected), ("held", plan.held), ("drift", plan.drift)) if notices]
    parts.append(f"{plan.unchanged} unchanged")
    return f"{', '.join(parts)}, {round(seconds * 1000)} ms"


def plural(number: int, word: str) -> str:
    """Return `1 run`, `2 runs`."""
    return f"{number} {word}{'' if number == 1 else 's'}"


def table(header: Sequence[str], rows: Sequence[Sequence[str]], paint: Paint, status_column: int | None = None) -> list[str]:
    """Return a table with a header, columns as wide as needed."""
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    lines = [paint("  ".join(cell.upper().ljust(width) for cell, width in zip(header, widths, strict=True)).rstrip(), "dim")]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        if status_column is not None:
            cells[status_column] = cells[status_column].replace(row[status_column], paint.status(row[status_column]))
        lines.append("  ".join(cells).rstrip())
    return lines


def since(text: str | None, now: datetime) -> str:
    """Return how long ago an instant was: `5s`, `3h 2m`."""
    return "" if not text else format_duration(now - datetime.fromisoformat(text))


def lasted(start: str | None, end: str | None) -> str:
    """Return how long something took."""
    return "" if not start or not end else format_duration(datetime.fromisoformat(end) - datetime.fromisoformat(start))


def run_lines(run: Mapping[str, Any], paint: Paint, now: datetime) -> list[str]:
    """Return one run, as `status` shows it."""
    reason = f" ({run['reason']})" if run["reason"] else ""
    lines = [f"run/{run['id']}  {paint.status(run['status'])}{reason}"]
    meta = run["metadata"]
    if meta.get("message"):
        lines.append(f"  {plain(meta['message'])}")
    facts = [
        ("workflow", f"{run['workflow_id']}  revision {meta['revision'][:12]}  on {meta['adapter']}"),
        ("place", f"project {meta['project']}  environment {meta['environment']}"),
        ("declared", meta["source"]),
        ("child of", f"run/{meta['parent']}" if meta.get("parent") else ""),
        ("slot", _slot_line(meta.get("schedule"))),
        ("task", f"#{run['task_id']} in TaskYou" if run.get("task_id") else ""),
        ("incarnation", f"{run['incarnation']}, attempt {run['attempt']}, {plural(run['claims'], 'claim')}, uid {meta['uid']}"),
        ("input", one_line(meta["input_text"])),
        ("started", _instant_line(run["started_at"], now)),
        (
            "ended",
            _instant_line(run["completed_at"], now)
            + (f", took {lasted(run['started_at'], run['completed_at'])}" if run["completed_at"] and run["started_at"] else ""),
        ),
        ("due", _due_line(meta.get("due_at"), now)),
        ("output", one_line(meta["output_text"], 400) if run["status"] == "completed" else ""),
        ("folder", meta.get("folder") or ""),
    ]
    lines += [f"  {name:<12}{plain(value)}" for name, value in facts if value.strip(", ")]
    if run["error"]:
        lines += _error_lines(run["error"])
    if run["steps"]:
        rows = [
            (
                step["key"],
                step["kind"],
                step["status"],
                str(step["attempts"] or ""),
                lasted(step["started_at"], step["completed_at"]),
                _step_text(step),
            )
            for step in run["steps"]
        ]
        shown = table(("step", "kind", "status", "tries", "took", "result"), rows, paint, 2)
        left_out = len(rows) - _MOST_STEPS
        if left_out > 0:
            shown[1 + _FIRST_STEPS : 1 + _FIRST_STEPS + left_out] = [f"… {left_out} more, which --json shows"]
        lines += ["", *[f"  {line}" for line in shown]]
    lines += [f"  warning: {plain(warning)}" for warning in meta.get("warnings", ())]
    return lines


def _slot_line(origin: Mapping[str, Any] | None) -> str:
    if not origin:
        return ""
    by_hand = ", started by hand" if origin.get("manual") else ", of a backfill" if origin.get("backfill") else ""
    return f"{origin['slot']} of schedule/{origin['name']}{by_hand}"


def _instant_line(text: str | None, now: datetime) -> str:
    return "" if not text else f"{text} ({since(text, now)} ago)"


def _due_line(text: str | None, now: datetime) -> str:
    if not text:
        return ""
    left = datetime.fromisoformat(text) - now
    return f"{text} (in {format_duration(left)})" if left.total_seconds() > 0 else f"{text} (overdue by {format_duration(-left)})"


def end_lines(run: Mapping[str, Any], paint: Paint) -> list[str]:
    """Return the end of a run in one line, for those who keep only the end of an output; nothing while it goes on."""
    error, told = run["error"], run["metadata"].get("message") or run["reason"]
    if run["status"] == "completed":
        told = one_line(run["metadata"]["output_text"], 200)
    elif isinstance(error, dict):
        step = f"in step {one_line(str(error['step']), 60)}: " if error.get("step") else ""
        told = one_line(f"{step}{error.get('name')}: {error.get('message')}", 200)
    if not run["completed_at"]:
        return []
    return ["", f"run/{run['id']}  {paint.status(run['status'])}{f': {plain(told)}' if told else ''}"]


def _error_lines(error: Mapping[str, Any]) -> list[str]:
    step = f"in step {one_line(str(error['step']), 60)}: " if error.get("step") else ""
    lines = [f"  error       {step}{one_line(str(error.get('name')), 60)}: {plain(str(error.get('message'))).replace(chr(10), chr(10) + ' ' * 14)}"]
    stack = [line for line in str(error.get("stack") or "").splitlines() if line.strip()]
    lines += [f"    {plain(line)}" for line in stack[-6:]]
    return lines


def _step_text(step: Mapping[str, Any]) -> str:
    if step["error"] is not None and step["status"] != "completed":
        return one_line(f"{step['error'].get('name')}: {step['error'].get('message')}", 60)
    doubt = "may have run twice  " if step["attempts"] > 1 else "was cut off  "
    notes = doubt if step.get("in_doubt") and step["status"] != "in-doubt" else ""
    if step.get("run"):
        notes += f"run/{step['run']}  "
    if step["heartbeat"] is not None and step["status"] == "running":
        notes += f"heartbeat {one_line(step['heartbeat_text'], 40)}  "
    shows = step["status"] == "completed" and step["kind"] not in ("sleep", "send")
    return (notes + (one_line(step["output_text"], 60) if shows else "")).rstrip()


def numbered(shown: int, total: int, what: str) -> str:
    """Return `20 of 412 runs`."""
    return f"{shown} of {plural(total, what)}" if shown < total else plural(total, what)


def listing(items: Iterable[str]) -> str:
    """Return `a, b and c`."""
    words = list(items)
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else ""
