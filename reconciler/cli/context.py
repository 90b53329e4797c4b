"""What every command of one call shares: where its settings are, where it writes, and how it ends."""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reconciler.clock import SystemClock
from reconciler.config import load_settings
from reconciler.errors import UsageError
from reconciler.render import Paint, plain
from reconciler.service import Service
from reconciler.values import mutable, replace


@mutable
class Globals:
    """The options in front of every command."""

    config: str | None = None
    data_dir: str | None = None
    project: str | None = None
    env: str | None = None


_COMMAND = "`ty-openworkflow"


class Context:
    """The present call. One for each process."""

    def __init__(self) -> None:
        """Begin with no options."""
        self.options = Globals()
        self.clock = SystemClock()
        self._service: Service | None = None
        self._shown = False

    @property
    def service(self) -> Service:
        """The program, with the settings of this call."""
        if self._service is None:
            environ = dict(os.environ)
            if self.options.data_dir:
                environ["TY_OPENWORKFLOW_DATA_DIR"] = os.path.abspath(os.path.expanduser(self.options.data_dir))
            settings = load_settings(Path(self.options.config) if self.options.config else None, environ)
            self._service = Service(settings, self.clock, self.progress, project=self.options.project, environment=self.options.env)
        return self._service

    def settle(self) -> None:
        """Have TaskYou told what this call has to tell it."""
        if self._service is not None and not self._service.is_loop:
            self._service.settle()

    @property
    def paint(self) -> Paint:
        """Colours of standard output."""
        return Paint(sys.stdout)

    def say(self, *lines: str) -> None:
        """Print what was asked for."""
        for line in lines:
            print(self.pasteable(line))  # noqa: T201

    def tell(self, *lines: str) -> None:
        """Print what goes beside it: progress, remarks, errors."""
        for line in lines:
            print(self.pasteable(line), file=sys.stderr, flush=True)  # noqa: T201

    def pasteable(self, text: str) -> str:
        """Return a text whose commands (in backquotes) mean the same settings and data folder as this call."""
        from shlex import quote

        given = {"--config": self.options.config, "--data-dir": self.options.data_dir}
        words = "".join(f" {name} {quote(value)}" for name, value in given.items() if value)
        if not words or _COMMAND not in text:
            return text
        first, *rest = text.split(_COMMAND)
        return first + "".join(f"{_COMMAND}{'' if part.startswith(' --') else words}{part}" for part in rest)

    def progress(self, text: str) -> None:
        """Show that something goes on."""
        self.tell(f"  {plain(text)}")

    def json(self, value: object) -> None:
        """Print a value as JSON."""
        print(json.dumps(value, indent=2 if sys.stdout.isatty() else None, ensure_ascii=False))  # noqa: T201

    def line(self, value: object) -> None:
        """Print a value as one line of JSON."""
        print(json.dumps(value, ensure_ascii=False))  # noqa: T201


CONTEXT = Context()


def wants_json(output: str, as_json: bool, known: tuple[str, ...] = ("text", "json")) -> bool:
    """Say whether JSON was asked for. Raises UsageError for a word that is not known."""
    if output not in known:
        message = f"-o {output}: choose one of {', '.join(known)}"
        raise UsageError(message)
    return as_json or output == "json"


def with_options(options: Globals, given: Mapping[str, Any]) -> Globals:
    """Return options with what was given laid over them."""
    return replace(options, **{name: value for name, value in given.items() if value is not None})
