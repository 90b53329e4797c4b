"""Scripts in `<config>/hooks/<event>`: each is awaited, and what it says or how it ends is told to nobody."""

from __future__ import annotations

import os

from .clock import Clock, rfc3339
from .gojson import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_LIMIT = 30


def config() -> str:
    """Return the program's configuration folder."""
    return (os.environ.get("XDG_CONFIG_HOME") or os.environ.get("HOME", "") + "/.config") + "/task"


def run(happened: list[tuple[str, dict[str, Any], dict[str, object]]], clock: Clock) -> None:
    """Run the script of every event that has one."""
    folder = f"{config()}/hooks"
    if not os.path.isdir(folder):
        return
    for event, task, metadata in happened:
        if os.path.exists(f"{folder}/{event}"):
            _run(f"{folder}/{event}", _environment(event, task, metadata, clock))


def _environment(event: str, task: dict[str, Any], metadata: dict[str, object], clock: Clock) -> dict[str, str]:
    told = {"TASK_ID": str(task["id"]), "TASK_EVENT": event, "TASK_TIMESTAMP": rfc3339(clock.now())}
    if event != "task.deleted":
        told |= {f"TASK_{name.upper()}": task[name] for name in ("title", "status", "project", "tags")}
    if task["worktree"]:
        told |= {"WORKTREE_PATH": task["worktree"], "WORKTREE_BRANCH": task["branch"], "WORKTREE_PORT": "3100"}
    if metadata:
        told["TASK_METADATA"] = dumps(metadata)
    return {**os.environ, **told}


def _run(script: str, environment: dict[str, str]) -> None:
    import subprocess

    null = subprocess.DEVNULL
    try:
        subprocess.run([script], env=environment, stdin=null, stdout=null, stderr=null, timeout=_LIMIT, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return
