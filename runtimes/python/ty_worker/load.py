"""Finding the workflow function in the code of a user."""

from __future__ import annotations

import os
import sys
from _thread import RLock

from ty_worker.errors import LoadError
from ty_worker.functions import takes_two

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

_EXPECTED = "expected `def workflow(input, ctx)` or `async def workflow(input, ctx)`"


class Code:
    """The code of one revision."""

    def __init__(self, folder: str, entry: str, paths: list[str]) -> None:
        self._folder, self._entry, self._paths = folder, entry, paths
        self._lock = RLock()
        self._prepared = False
        self._workflow: Callable[..., Any] | None = None

    def workflow(self) -> Callable[..., Any]:
        """Return the workflow function; the code is loaded once. Raises LoadError, which names file and line."""
        with self._lock:
            if self._workflow is None:
                self._workflow = self._load()
            return self._workflow

    def _load(self) -> Callable[..., Any]:
        file = os.path.join(self._folder, self._entry)
        if not os.path.isfile(file):
            message = f"{self._entry}: there is no such file in the code"
            raise LoadError(message)
        self._prepare(file)
        try:
            module = self._import(file)
        except BaseException as error:  # whatever the user's module raises, also sys.exit()
            raise self._explain(error) from error
        return self._pick(module)

    def _prepare(self, file: str) -> None:
        if self._prepared:
            return
        self._prepared = True
        os.chdir(self._folder)
        sys.argv[:] = [file]
        sys.path[:0] = [self._folder, *self._paths]
        if sys.pycache_prefix is None:
            sys.dont_write_bytecode = True  # the folder is a snapshot

    def _import(self, file: str) -> ModuleType:
        """Import the entry under its own name, so that other processes find its functions, unless that name belongs to another module."""
        name = os.path.splitext(self._entry)[0].replace("/", ".")
        if name not in sys.modules and self._entry.endswith(".py") and all(part.isidentifier() for part in name.split(".")):
            try:
                __import__(name)
            except ModuleNotFoundError as error:
                if error.name is None or not (name + ".").startswith(error.name + "."):
                    raise
            module = sys.modules.get(name)
            if module is not None and getattr(module, "__file__", None) == file:
                return module
        return self._import_file(file)

    def _import_file(self, file: str) -> ModuleType:
        from importlib.machinery import SourceFileLoader
        from importlib.util import module_from_spec, spec_from_file_location

        name = "workflow_" + "".join(letter if letter.isalnum() else "_" for letter in self._entry)
        loader = SourceFileLoader(name, file)
        spec = spec_from_file_location(name, file, loader=loader)
        if spec is None:
            message = f"{self._entry} is no Python file"
            raise ImportError(message)
        module = module_from_spec(spec)
        sys.modules[name] = module
        loader.exec_module(module)
        return module

    def _pick(self, module: ModuleType) -> Callable[..., Any]:
        workflow: Any = getattr(module, "workflow", None)
        if not callable(workflow):
            names = [name for name, value in vars(module).items() if callable(value) and getattr(value, "__module__", "") == module.__name__]
            instead = f"; it defines {', '.join(names[:10])}" if names else ""
            message = f"{self._entry}:1: no workflow found: {_EXPECTED}{instead}"
            raise LoadError(message)
        if not takes_two(workflow):
            line = getattr(getattr(workflow, "__code__", None), "co_firstlineno", 1)
            message = f"{self._entry}:{line}: the workflow cannot be called with (input, ctx): {_EXPECTED}"
            raise LoadError(message)
        found: Callable[..., Any] = workflow
        return found

    def _explain(self, error: BaseException) -> LoadError:
        if isinstance(error, LoadError):
            return error
        lines = str(error).splitlines() or [""]
        if isinstance(error, SyntaxError) and error.filename is not None:
            place = self._within(error.filename) or self._entry
            return LoadError(f"{place}:{error.lineno or 1}: {type(error).__name__}: {error.msg}; {_EXPECTED}")
        place, frames = f"{self._entry}:1", error.__traceback__
        while frames is not None:
            inside = self._within(frames.tb_frame.f_code.co_filename)
            if inside is not None:
                place = f"{inside}:{frames.tb_lineno}"
            frames = frames.tb_next
        return LoadError(f"{place}: {type(error).__name__}: {lines[0]}")

    def _within(self, file: str) -> str | None:
        """Return the path of a file of the code, relative to it."""
        start = self._folder.rstrip("/") + "/"
        return file[len(start) :] if file.startswith(start) else None
