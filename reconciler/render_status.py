"""What `status` and `events` show, as text: what is behind a run, a workflow, the whole installation, what happened."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from reconciler.duration import format_duration
from reconciler.render import Paint, listing, one_line, plain, plural, since, table

_MOST = 5


def detail_lines(detail: Mapping[str, Any], now: datetime) -> list[str]:
    """Return what `status RUN` adds to the run itself: why it waits, for whom, who waits for it, what is due, what was asked of it."""
    facts: list[tuple[str, str]] = []
    if detail["queue"] is not None:
        facts.append(("queue", detail["queue"]["message"]))
    facts += [("waits for", f"{other['object']} ({other['status']})") for other in detail["waits_for"][:_MOST]]
    if detail["waited_for_by"]:
        facts.append(("needed by", listing(f"{other['object']} ({other['status']})" for other in detail["waited_for_by"][:_MOST])))
    facts += [("next", f"{due['what']} at {due['at']} ({_when(due['at'], now)})") for due in detail["next_due"][:_MOST]]
    facts += [("asked", request_text(request, now)) for request in detail["requests"][-_MOST:]]
    return [f"  {name:<12}{plain(text)}" for name, text in facts]


def request_text(request: Mapping[str, Any], now: datetime) -> str:
    """Return a request in one line: `suspend by ana 2h ago: the database is down (in effect)`."""
    why = f": {request['why']}" if request["why"] else ""
    return f"{request['verb']} by {request['who']} {since(request['at'], now)} ago{why} ({request['state']})"


def condition_lines(conditions: Sequence[Mapping[str, Any]], paint: Paint, now: datetime) -> list[str]:
    """Return the conditions that a person should know of: what is not as it should be."""
    bad = [one for one in conditions if _is_bad(one)]
    return [
        f"  {paint('!', 'yellow')} {one['type']}={one['status']}  {one['reason']}  since {since(one['since'], now)}  {one_line(one['message'], 200)}".rstrip()
        for one in bad
    ]


def _is_bad(one: Mapping[str, Any]) -> bool:
    good = "True" if one["type"] in ("Ready", "Synced", "TaskSynced") else "False"
    return one["type"] not in ("Succeeded", "Stalled") and bool(one["status"] != good)


def workflow_lines(view: Mapping[str, Any], paint: Paint, now: datetime) -> list[str]:
    """Return one workflow, as `status workflow/NAME` shows it."""
    meta, counts = view["metadata"], view["runs_by_status"]
    reason = f" ({view['reason']})" if view["reason"] else ""
    lines = [f"workflow/{view['id']}  {view['status']}{reason}", *condition_lines(view["conditions"], paint, now)]
    used = (
        f"{view['concurrency']['in_use']} of {view['concurrency']['limit']}" if view["concurrency"]["limit"] else str(view["concurrency"]["in_use"])
    )
    active = ", ".join(f"{number} {status}" for status, number in counts.items())
    installed = (meta["resolved"] or {}).get("dependencies") or {}
    facts = [
        ("title", view["title"]),
        ("description", view["description"]),
        ("version", view["version"]),
        ("runs with", f"{view['runtime']} on {view['adapter']}"),
        ("revision", f"{view['revision']} (deployed {since(meta['updated_at'], now)} ago)"),
        ("declared", meta["source"]),
        ("owner", meta["owner"]),
        ("place", f"project {meta['project']}  environment {meta['environment']}"),
        ("runs", f"{view['runs']} in all{f': {active}' if active else ''}"),
        ("workers", f"{used} {'runs hold' if used != '1' else 'run holds'} a worker"),
        ("drift", meta.get("drift") or ""),
        ("installed", ", ".join(f"{package} {version}" for package, version in installed.items())),
    ]
    lines += [f"  {label:<12}{one_line(value, 200)}" for label, value in facts if value]
    lines += [f"  {'asked':<12}{plain(request_text(request, now))}" for request in view["requests"][-_MOST:]]
    if view["recent_runs"]:
        rows = [(run["id"], run["status"], run["reason"], since(run["created_at"], now)) for run in view["recent_runs"]]
        lines += ["", *[f"  {line}" for line in table(("run", "status", "reason", "age"), rows, paint, 1)]]
    return lines


def overview_lines(view: Mapping[str, Any], paint: Paint, now: datetime) -> list[str]:
    """Return the one screen for three in the morning, below the line of the loop."""
    lines = []
    if view["last_pass"] is not None:
        last = view["last_pass"]
        where = f" over {last['folder']} ({last['project']}/{last['environment']})" if last["folder"] else ""
        who = f" by {last['who']}" if last["who"] else ""
        lines.append(f"last pass that did something: {since(last['at'], now)} ago{where}{who}: {pass_text(last)}")
    lines.append(", ".join(f"{number} {word}" for word, number in sorted(view["counts"].items())) or "no runs yet")
    if view["attention"]:
        lines.append("needs a person:")
        rows = [(one["object"], one["reason"], one_line(one["message"], 120)) for one in view["attention"]]
        lines += [f"  {paint('!', 'red')} {line}" for line in _columns(rows)]
    if view["suspended"]:
        lines.append("suspended:")
        lines += [f"    {line}" for line in _columns([(one["object"], _suspended_text(one, now)) for one in view["suspended"]])]
    told = {one["object"] for one in (*view["attention"], *view["suspended"])}
    going = [run for run in view["active"] if f"run/{run['id']}" not in told]
    if going and told:
        lines.append("goes on:")
    lines += [f"    run/{run['id']}  {paint.status(run['status'])}  {run['reason']}".rstrip() for run in going[:20]]
    if len(going) > 20:
        lines.append(f"    … {plural(len(going) - 20, 'more run')}: `ty-openworkflow list runs` shows them")
    for due in view["next_due"][:_MOST]:
        lines.append(f"next due: {due['object']} {due['what']} at {due['at']} ({_when(due['at'], now)})")
    return lines


def _suspended_text(one: Mapping[str, Any], now: datetime) -> str:
    why = f": {one['why']}" if one["why"] else ""
    return f"by {one['who']} {since(one['at'], now)} ago{why}" if one["who"] else "by its manifest"


def _columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))] if rows else []
    return ["  ".join(plain(cell).ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def pass_text(one: Mapping[str, Any]) -> str:
    """Return what a pass did: `2 start, 1 deploy, 1 rejected`."""
    summary = one["summary"]
    parts = [f"{number} {action}" for action, number in sorted(summary.get("actions", {}).items())]
    parts = parts or [plural(summary["changes"], "change")]
    parts += [f"{summary[word]} {word}" for word in ("ended", "rejected", "held") if summary.get(word)]
    return ", ".join([*parts, *([plural(summary["failures"], "failure")] if summary["failures"] else [])])


def pass_lines(passes: Sequence[Mapping[str, Any]], paint: Paint, now: datetime) -> list[str]:
    """Return the history of passes, the latest last."""
    rows = [
        (
            since(one["at"], now),
            f"{one['project']}/{one['environment']}" if one["project"] else "what is known",
            one["revision"].strip("@")[:30],
            one["who"],
            "" if one["duration_ms"] is None else f"{one['duration_ms']} ms",
            pass_text(one),
        )
        for one in passes
    ]
    return table(("ago", "place", "revision", "who", "took", "did"), rows, paint) if rows else []


def event_line(event: Mapping[str, Any], paint: Paint, now: datetime | None) -> str:
    """Return an event in one line; without `now`, as it comes, with its instant."""
    count = event["count"]
    when = event["last_at"] if now is None else f"{since(event['last_at'], now)} ago"
    times = f" ({count} times since {event['first_at']})" if count > 1 else ""
    return f"{paint(when.ljust(10), 'dim')}  {event['object']}  {event['reason']}  {one_line(event['message'], 300)}{times}".rstrip()


def event_lines(events: Sequence[Mapping[str, Any]], paint: Paint, now: datetime) -> list[str]:
    """Return events as a table, the latest last: when last and first, how often, what about, why."""
    rows = [
        (
            since(event["last_at"], now),
            since(event["first_at"], now) if event["count"] > 1 else "",
            str(event["count"]),
            event["object"],
            event["reason"],
            one_line(event["message"], 200),
        )
        for event in events
    ]
    return table(("last", "first", "count", "object", "reason", "message"), rows, paint) if rows else []


def _when(at: str, now: datetime) -> str:
    left = datetime.fromisoformat(at) - now
    return f"in {format_duration(left)}" if left.total_seconds() > 0 else f"overdue by {format_duration(-left)}"
