"""One schedule, as people and programs are shown it. The shape is fixed by `schemas/schedule-status.schema.json`."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from reconciler.digest import Json
from reconciler.duration import format_duration
from reconciler.instants import stamp
from reconciler.journal import decode_json
from reconciler.render import one_line, plain, since
from reconciler.slots import ZoneError, slots, timing_of, zone_of

FORMAT = 1
SHOWN_SLOTS = 5
_MISSED = ("missed", "start-deadline")


def schedule_view(row: Mapping[str, Any], active: Sequence[str], last_successful: str | None, now: datetime) -> dict[str, Json]:
    """Return one schedule as `status schedule/NAME --json` shows it."""
    spec, counts = decode_json(row["spec"]), decode_json(row["counts"])
    try:
        following, wrong = _next(row, spec, now), ""
    except ZoneError as error:
        following, wrong = [], str(error)
    suspended = bool(row["suspended"])
    status, reason = ("suspended", "suspended") if suspended else ("stalled", "time-zone-missing") if wrong else ("armed", "armed")
    message = wrong or ("its slots are skipped until it is resumed" if suspended else "")
    return {
        "format_version": FORMAT,
        "id": row["name"],
        "workflow_id": spec["run"]["workflow"],
        "status": status,
        "cron": spec.get("cron"),
        "every": spec.get("every"),
        "time_zone": spec.get("timeZone", "UTC"),
        "overlap": spec.get("overlap", "skip"),
        "catch_up": spec.get("catchUp", "latest"),
        "start_deadline": spec.get("startDeadline"),
        "jitter": spec.get("jitter"),
        "keep": spec.get("keep", {}),
        "next": following,
        "last_slot": row["last_slot"] or None,
        "last_successful_slot": last_successful,
        "missed": sum(counts.get(name, 0) for name in _MISSED),
        "skipped": counts,
        "active": list(active),
        "conditions": [
            {"type": "Ready", "status": "True" if status == "armed" else "False", "reason": reason, "message": message, "since": row["updated_at"]}
        ],
        "metadata": {
            "project": row["project"],
            "environment": row["environment"],
            "owner": row["owner"],
            "source": row["source"],
            "labels": decode_json(row["labels"]),
            "since": row["since"],
            "created_at": row["created_at"],
            "updated_at": row["updated_at"],
        },
    }


def _next(row: Mapping[str, Any], spec: Mapping[str, Any], now: datetime) -> list[Json]:
    """Return the next slots, in the zone and in UTC; one that is due and not looked at yet is the first."""
    if row["suspended"]:
        return []
    after = datetime.fromisoformat(row["since"])
    due = datetime.fromisoformat(row["next_at"]) if row["next_at"] else None
    if due is None or due <= now:
        after = max(after, now)
    timing = timing_of(spec)
    zone = zone_of(timing.zone)
    return [{"at": stamp(slot), "local": slot.astimezone(zone).isoformat()} for slot in islice(slots(timing, after), SHOWN_SLOTS)]


def schedule_cells(view: Mapping[str, Any], now: datetime) -> tuple[str, ...]:
    """Return a schedule as a row of `list schedules`."""
    following = view["next"]
    return (
        view["id"],
        view["status"],
        plain(view["cron"] or f"every {view['every']}"),
        view["time_zone"],
        _until(following[0]["at"], now) if following else "",
        since(view["last_slot"], now),
        str(len(view["active"])),
        str(view["missed"]),
        str(sum(view["skipped"].values()) - view["missed"]),
        view["workflow_id"],
        f"{view['metadata']['project']}/{view['metadata']['environment']}",
    )


HEADER = ("schedule", "status", "when", "zone", "next in", "last", "active", "missed", "skipped", "workflow", "place")


def schedule_lines(view: Mapping[str, Any], now: datetime) -> list[str]:
    """Return one schedule as `status` shows it."""
    meta = view["metadata"]
    lines = [f"schedule/{view['id']}  {view['status']}"]
    lines += [f"  {plain(condition['message'])}" for condition in view["conditions"] if condition["message"]]
    policies = [f"overlap {view['overlap']}", f"catch-up {view['catch_up']}"]
    policies += [f"{word} {view[key]}" for word, key in (("start deadline", "start_deadline"), ("jitter", "jitter")) if view[key]]
    reasons = ", ".join(f"{number} {reason}" for reason, number in sorted(view["skipped"].items()))
    facts = [
        ("when", f"{view['cron']} in {view['time_zone']}" if view["cron"] else f"every {view['every']}"),
        ("workflow", view["workflow_id"]),
        ("policies", ", ".join(policies)),
        ("last slot", f"{view['last_slot']} ({since(view['last_slot'], now)} ago)" if view["last_slot"] else "none yet"),
        ("last success", f"{view['last_successful_slot']} ({since(view['last_successful_slot'], now)} ago)" if view["last_successful_slot"] else ""),
        ("no run for", reasons),
        ("active", ", ".join(f"run/{name}" for name in view["active"])),
        ("declared", meta["source"]),
        ("place", f"project {meta['project']}  environment {meta['environment']}"),
    ]
    lines += [f"  {label:<13}{one_line(value, 200)}" for label, value in facts if value]
    for number, slot in enumerate(view["next"]):
        lines.append(f"  {'next' if number == 0 else '':<13}{_local(slot['local'])}  {slot['at'][:19]}Z  {_until(slot['at'], now)}")
    return lines


def _local(text: str) -> str:
    local = datetime.fromisoformat(text)
    return f"{local:%a %Y-%m-%d %H:%M:%S%z}"


def _until(text: str, now: datetime) -> str:
    left = datetime.fromisoformat(text) - now.astimezone(UTC)
    return f"in {format_duration(left)}" if left > timedelta(0) else "now"
