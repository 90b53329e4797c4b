"""The adapters, known to the reconciler by name only, and opened when they are first needed."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

from reconciler.compute import Adapter
from reconciler.config import Settings
from reconciler.instants import milliseconds


class Adapters(Mapping[str, Adapter]):
    """The platforms that the settings enable, by name."""

    def __init__(self, settings: Settings) -> None:
        """Nothing is imported yet: a pass with nothing to do may need none of them."""
        self._settings = settings
        self._open: dict[str, Adapter] = {}

    def __getitem__(self, name: str) -> Adapter:
        """Return an adapter. Raises KeyError for one that is not enabled."""
        if name not in self._open:
            if name not in list(self):
                raise KeyError(name)
            self._open[name] = _open_exec(self._settings)
        return self._open[name]

    def __iter__(self) -> Iterator[str]:
        """Return the names of the enabled adapters that this version has."""
        if self._settings.adapters.exec.enabled:
            yield "exec"

    def __len__(self) -> int:
        """Return how many there are."""
        return sum(1 for _ in self)


def _open_exec(settings: Settings) -> Adapter:
    module: Any = import_module("adapters.exec")
    own = settings.adapters.exec
    adapter: Adapter = module.ExecAdapter(
        module.ExecSettings(
            work_dir=str(own.work_dir),
            node=own.node,
            python=own.python,
            runs_per_worker=own.runs_per_worker,
            linger_ms=milliseconds(own.linger),
            park_after_ms=milliseconds(settings.park_after),
        )
    )
    return adapter
