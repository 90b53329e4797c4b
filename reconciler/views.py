"""One run, one list, one plan, as programs are shown them. The shapes are fixed by the schemas in `schemas/`."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from reconciler.actions import Plan
from reconciler.compute import Adapter, Finished, Gone, LetGo, Live, Observation, Quarantined, Unclaimed, Unknown
from reconciler.digest import Json
from reconciler.errors import DamagedError, UnavailableError
from reconciler.history import Call, History
from reconciler.journal import decode_json, encode_json
from reconciler.model import TERMINAL, Place
from reconciler.plan.approval import digest_of_plan
from reconciler.plan.family import child_name
from reconciler.questions import question
from reconciler.reasons import let_go_reason, reason_of_end
from reconciler.standing import Standing, asked_view, reason_in, run_conditions, workflow_conditions

FORMAT = 1


def run_view(row: Mapping[str, Any], adapter: Adapter | None, now: datetime, known: Standing | None = None) -> dict[str, Json]:
    """Return one run as `status RUN --json` shows it: what is remembered, brought up to date from its journal."""
    facts = dict(row)
    known = Standing() if known is None else known
    history, seen = _look(row, adapter)
    reason, message = facts["reason"], facts["message"]
    status, due_at, completed_at = facts["status"], facts["due_at"], facts["completed_at"]
    output, error = loads(facts["output"]), loads(facts["error"])
    if completed_at is None and seen is not None:
        if isinstance(seen, Finished):
            status, (reason, message) = seen.status.value, reason_of_end(seen.status.value, seen.reason)
            output, error = seen.output, seen.error
            completed_at = None if history is None or history.finished is None else history.finished["at"]
        elif isinstance(seen, Live | LetGo):
            status = status if status == "canceling" else seen.status.value
            due_at = None if history is None else history.due()
            if reason != "suspended" or isinstance(seen, Live):
                reason = let_go_reason(seen.reason) if isinstance(seen, LetGo) else ""
        elif isinstance(seen, Gone):
            reason, message = "worker-gone", "its worker died; the next pass starts another one"
        elif isinstance(seen, Quarantined):
            reason, message = "quarantined", seen.message
        elif isinstance(seen, Unknown):
            reason, message = "unknown", seen.reason
        elif isinstance(seen, Unclaimed) and not seen.ordered and facts["claim"]:
            reason, message = reason or "pending", message or "no worker has taken it; the next pass hands it over again"
    if history is not None and completed_at is None and reason != "suspended":
        reason, message = question(history, facts["name"]) or (reason, message)
    if status == "pending" and not reason and not facts["claim"]:
        reason, message = "concurrency", "waits in the queue for a pass with room for it"
    if facts["collected_at"] is not None:
        message = "its journal, input and output are gone, as `keep` says; that it has run is remembered"
    started_at = facts["started_at"] or (history.started_at if history is not None else None)
    overdue = completed_at is None and due_at is not None and due_at < _text(now)
    return {
        "format_version": FORMAT,
        "id": facts["name"],
        "workflow_id": facts["workflow"],
        "status": status,
        "reason": "overdue" if overdue and reason in ("", "parked", "approval") else reason,
        "input": loads(facts["input"]),
        "output": output,
        "error": error,
        "steps": [] if history is None else [_step(call, facts, ended=status in TERMINAL) for call in history.calls.values()],
        "attempt": facts["attempt"] if history is None else history.attempt,
        "claims": 0 if history is None else history.claims,
        "incarnation": facts["incarnation"],
        "started_at": started_at,
        "completed_at": completed_at,
        "conditions": run_conditions(facts, status, reason, message, completed_at, known),
        "task_id": facts["task_id"],
        "metadata": {
            "uid": facts["uid"],
            "project": facts["project"],
            "environment": facts["environment"],
            "owner": facts["owner"],
            "source": facts["source"].removesuffix(":0"),
            "revision": facts["revision"],
            "adapter": facts["adapter"],
            "labels": decode_json(facts["facts"]).get("labels", {}),
            "parent": decode_json(facts["origin"]).get("parent", {}).get("run"),
            "schedule": decode_json(facts["origin"]).get("schedule"),
            "created_at": facts["created_at"],
            "due_at": due_at,
            "overdue": overdue,
            "message": message,
            "folder": adapter.folder(facts["uid"]) if adapter is not None else None,
            "parked": history is not None and history.let_go == "parked",
            "worker": "" if history is None else history.worker,
            "deaths": facts["deaths"] if history is None else history.deaths,
            "skipped_records": 0 if history is None else history.skipped,
            "warnings": [] if history is None else [str(warning.get("message", "")) for warning in history.warnings],
        },
    }


def _look(row: Mapping[str, Any], adapter: Adapter | None) -> tuple[History | None, Observation | None]:
    if adapter is None:
        return None, None
    try:
        seen = adapter.observe({row["uid"]: row["claim"]})[row["uid"]]
        return None if isinstance(seen, Quarantined) else adapter.history(row["uid"]), seen
    except (DamagedError, UnavailableError) as error:
        return None, Unknown(str(error))


def _status(call: Call, *, ended: bool) -> str:
    """Return what a person is told of a call; nothing is open any more in a run that has ended."""
    if ended and call.open:
        return "abandoned"
    return "waiting" if call.status == "running" and call.kind not in ("step", "clean-up") else call.status


def _step(call: Call, facts: Mapping[str, Any], *, ended: bool) -> dict[str, Json]:
    return {
        "name": call.name,
        "key": call.key,
        "kind": call.kind,
        "status": _status(call, ended=ended),
        "attempts": call.attempts,
        "in_doubt": call.in_doubt,
        "output": call.output,
        "error": call.error,
        "started_at": call.started_at,
        "completed_at": call.completed_at,
        "due_at": call.until if call.open else None,
        "run": _other_run(call, facts),
        "approval": _approval(call),
        "heartbeat": None if call.heartbeat is None else {"at": call.heartbeat["at"], "details": call.heartbeat.get("details")},
    }


def _other_run(call: Call, facts: Mapping[str, Any]) -> str | None:
    """Return the name of the run that a call is about: its child, or who gets its signal."""
    if call.kind == "child":
        return child_name(facts["name"], facts["uid"], call.key)
    return str(call.request["run"]).removeprefix("run/") if call.kind == "send" and "run" in call.request else None


def _approval(call: Call) -> Json:
    """Return what a person is asked, or was."""
    asked = call.request.get("approval")
    return None if asked is None else {"title": asked["title"], "description": asked.get("description", "")}


def loads(text: str | None) -> Json:
    """Read a value as it is kept, None for none."""
    return None if text is None else decode_json(text)


def _text(now: datetime) -> str:
    return now.strftime("%Y-%m-%dT%H:%M:%S.") + f"{now.microsecond // 1000:03d}Z"


def for_text(view: Mapping[str, Any]) -> dict[str, Any]:
    """Return a view with its values written as JSON, for people."""
    meta = {**view["metadata"], "input_text": encode_json(view["input"]), "output_text": encode_json(view["output"])}
    steps = [
        {**step, "output_text": encode_json(step["output"]), "heartbeat_text": encode_json((step["heartbeat"] or {}).get("details"))}
        for step in view["steps"]
    ]
    return {**view, "metadata": meta, "steps": steps}


def workflow_view(row: Mapping[str, Any], known: Standing | None = None) -> dict[str, Json]:
    """Return one workflow as `list workflows --json` shows it."""
    facts, spec = decode_json(row["facts"]), decode_json(row["spec"])
    conditions = workflow_conditions(row, Standing() if known is None else known)
    return {
        "format_version": FORMAT,
        "id": row["name"],
        "title": facts.get("title", ""),
        "description": facts.get("description", ""),
        "version": spec.get("version", ""),
        "runtime": spec["runtime"],
        "adapter": facts.get("adapter", "exec"),
        "status": "deployed",
        "reason": reason_in(conditions),
        "conditions": list(conditions),
        "revision": row["revision"],
        "runs": row["runs"],
        "active_runs": row["active"],
        "metadata": {
            "project": row["project"],
            "environment": row["environment"],
            "owner": row["owner"],
            "source": row["source"],
            "labels": facts.get("labels", {}),
            "updated_at": row["updated_at"],
            "resolved": loads(row["resolved"]),
        },
    }


def plan_view(plan: Plan, source: Mapping[str, Any]) -> dict[str, Json]:
    """Return a plan as `plan --json` shows it; `digest` stands for what would be made of the manifests, and where."""
    changes = [
        {
            "kind": change.kind,
            "name": change.name,
            "action": change.action,
            "reason": change.reason,
            "before": change.before,
            "after": change.after,
            "source": {"file": change.source.file, "line": change.source.line},
        }
        for change in plan.changes
    ]
    place = {name: source.get(name) for name in ("folder", "project", "environment", "branch", "commit", "dirty")}
    return {
        "format_version": FORMAT,
        "digest": source.get("digest") or digest_of_plan(Place(source["project"], source["environment"]), plan),
        "source": place,
        "changes": changes,
        "rejected": _notices(plan.rejected),
        "held": _notices(plan.held),
        "drift": _notices(plan.drift),
        "requests": [asked_view(asked) for asked in plan.asked],
        "summary": {
            "changes": len(changes),
            "unchanged": plan.unchanged,
            "rejected": len(plan.rejected),
            "held": len(plan.held),
            "drift": len(plan.drift),
        },
    }


def _notices(notices: Sequence[Any]) -> list[Json]:
    return [
        {
            "object": notice.object,
            "reason": notice.reason,
            "message": notice.message,
            "source": {"file": notice.source.file, "line": notice.source.line},
        }
        for notice in notices
    ]
