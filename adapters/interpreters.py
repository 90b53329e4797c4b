"""The interpreters on this machine: the real executable behind a name on PATH, and whether it is new enough."""

import json
import os
import re
from contextlib import suppress
from pathlib import Path
from threading import get_ident

from reconciler.errors import RejectedError
from reconciler.values import frozen

_ASK = {
    "node": ("-p", "JSON.stringify([process.execPath, process.versions.node])"),
    "python": ("-I", "-c", "import json, platform, sys; print(json.dumps([sys.executable, platform.python_version()]))"),
}
_ENOUGH = "node 20.15 or 22.2, or newer (22.0 and 22.1 are not)", "python 3.10 or newer"
_SECONDS = 20
_PYTHON = re.compile(r"python(3\.\d+)")


@frozen
class Interpreter:
    """An executable and its version."""

    runtime: str
    path: str
    version: str

    @property
    def tag(self) -> str:
        """What dependencies are installed for: `node20`, `python3.11`."""
        parts = self.version.split(".")
        return f"node{parts[0]}" if self.runtime == "node" else f"python{parts[0]}.{parts[1]}"


class Interpreters:
    """Finds interpreters, and remembers them in a file: a shim on PATH costs 100 ms to look through."""

    def __init__(self, configured: dict[str, str], cache: Path) -> None:
        """`configured` maps `node` and `python` to a path or a name, empty for the first one on PATH."""
        self._configured, self._cache = configured, cache
        self._known: dict[str, Interpreter] = {}
        self._fresh: dict[str, dict[str, str]] = {}

    def get(self, runtime: str) -> Interpreter:
        """Return the interpreter of a runtime. Raises RejectedError if there is none, or only one that is too old."""
        if runtime not in self._known:
            self._known[runtime] = self._find(runtime)
        return self._known[runtime]

    def _find(self, runtime: str) -> Interpreter:
        import shutil

        wanted = self._configured.get(runtime, "")
        path = shutil.which(wanted or ("node" if runtime == "node" else "python3")) or (
            None if wanted or runtime == "node" else shutil.which("python")
        )
        if path is None:
            message = f"{wanted or runtime} is not installed here: install {_ENOUGH[runtime != 'node']}, or name one in adapters.exec.{runtime} of the settings"
            raise RejectedError(message)
        told = _PYTHON.fullmatch(os.path.basename(os.path.realpath(path))) if runtime == "python" else None
        if told is not None and _new_enough(runtime, told[1]):
            return Interpreter(runtime, path, told[1])  # its own name says what asking it would, and asking takes 30 ms
        facts = os.stat(path)
        key = f"{path} {facts.st_ino} {facts.st_size} {facts.st_mtime_ns}"
        known = self._remembered().get(key)
        if known is not None and os.path.exists(known["path"]):
            return Interpreter(**known)
        found = _ask(runtime, path)
        self._fresh[key] = {"runtime": found.runtime, "path": found.path, "version": found.version}
        return found

    def _remembered(self) -> dict[str, dict[str, str]]:
        try:
            known = json.loads(self._cache.read_text())
        except (OSError, ValueError):
            return {}
        return known if isinstance(known, dict) else {}

    def save(self) -> None:
        """Write down what was found since then. Looking alone writes nothing, so that a plan does not."""
        fresh, self._fresh = self._fresh, {}
        if fresh:
            temporary = self._cache.with_suffix(f".{os.getpid()}.{get_ident()}")
            with suppress(OSError):  # then it is found again
                temporary.write_text(json.dumps({**self._remembered(), **fresh}))
                temporary.rename(self._cache)


def _ask(runtime: str, path: str) -> Interpreter:
    import subprocess

    try:
        answer = subprocess.run([path, *_ASK[runtime]], capture_output=True, text=True, timeout=_SECONDS, check=True, cwd="/")
        executable, version = json.loads(answer.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        message = f"{path} does not answer as {runtime} does: {error}"
        raise RejectedError(message) from error
    if not _new_enough(runtime, version):
        message = f"{path} is {runtime} {version}; needed is {_ENOUGH[runtime != 'node']}"
        raise RejectedError(message)
    return Interpreter(runtime, executable, version)


def _new_enough(runtime: str, version: str) -> bool:
    """Node needs `zlib.crc32`, which came with 20.15 and 22.2."""
    major, minor = (int(part) for part in version.split(".")[:2])
    if runtime == "python":
        return (major, minor) >= (3, 10)
    return (major == 20 and minor >= 15) or (major == 22 and minor >= 2) or major > 22
