"""What a test does not care about, filled in."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from reconciler.compute import Revision
from reconciler.model import Code, Desired, Place, Retry, Run, Source, Status, Workflow
from reconciler.recorded import ActiveRun

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
PLACE = Place("shop", "dev")
FOLDER = "/srv/shop"
RETRY = Retry(1, SECOND, 2, timedelta(seconds=100))


def a_workflow(name: str = "greet", **changes: Any) -> Workflow:
    facts: dict[str, Any] = {
        "name": name,
        "revision": f"revision-of-{name}",
        "runtime": "python",
        "adapter": "memory",
        "code": Code({"workflow.py": "0" * 64}, "echo", FOLDER),
        "retry": RETRY,
        "step_retry": RETRY,
        "step_timeout": None,
        "timeout": None,
        "grace": timedelta(seconds=10),
        "cleanup": timedelta(seconds=60),
        "source": Source(f"{name}.yaml", 1),
    }
    return Workflow(**{**facts, **changes})


def a_run(name: str = "greet-world", **changes: Any) -> Run:
    facts: dict[str, Any] = {
        "name": name,
        "workflow": "greet",
        "spec_hash": f"spec-of-{name}",
        "input": {"name": "World"},
        "source": Source(f"{name}.yaml", 1),
    }
    return Run(**{**facts, **changes})


def desired(*objects: Workflow | Run, **changes: Any) -> Desired:
    workflows = {item.name: item for item in objects if isinstance(item, Workflow)}
    runs = {item.name: item for item in objects if isinstance(item, Run)}
    return Desired(**{"folder": FOLDER, "place": PLACE, "workflows": workflows, "runs": runs, **changes})


def a_revision(name: str = "greet", settings: Mapping[str, Any] | None = None) -> Revision:
    return Revision(f"revision-of-{name}", name, "python", "echo", settings=settings or {"cancel": {"grace_ms": 10_000, "cleanup_ms": 60_000}})


def an_active_run(name: str = "greet-world", **changes: Any) -> ActiveRun:
    facts: dict[str, Any] = {
        "uid": f"uid-of-{name}",
        "place": PLACE,
        "name": name,
        "incarnation": 1,
        "owner": FOLDER,
        "workflow": "greet",
        "adapter": "memory",
        "spec_hash": f"spec-of-{name}",
        "input": None,
        "revision": a_revision(),
        "status": Status.RUNNING,
        "reason": "",
        "message": "",
        "claim": 1,
        "confirmed": True,
        "journal_size": 0,
        "attempt": 1,
        "deaths": 0,
        "created_at": NOON,
    }
    return ActiveRun(**{**facts, **changes})
