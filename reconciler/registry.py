"""The adapters, known to the reconciler by name only."""

from importlib import import_module
from typing import Any

from reconciler.compute import Adapter
from reconciler.config import Settings
from reconciler.instants import milliseconds


def open_adapters(settings: Settings) -> dict[str, Adapter]:
    """Return the adapters that the settings enable; nothing of them is touched yet."""
    adapters: dict[str, Adapter] = {}
    if settings.adapters.exec.enabled:
        module: Any = import_module("adapters.exec")
        own = settings.adapters.exec
        adapters["exec"] = module.ExecAdapter(
            module.ExecSettings(
                work_dir=str(own.work_dir),
                node=own.node,
                python=own.python,
                runs_per_worker=own.runs_per_worker,
                linger_ms=milliseconds(own.linger),
                park_after_ms=milliseconds(settings.park_after),
            )
        )
    return adapters
