"""What a revision depends on, found in its own files and installed once: npm packages, pip requirements, PEP 723."""

import json
import os
import re
import signal
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.interpreters import Interpreter
from reconciler.compute import Progress, Revision
from reconciler.digest import Json
from reconciler.errors import RejectedError, UnavailableError
from reconciler.values import frozen, mutable

if TYPE_CHECKING:
    import subprocess

# The block of inline metadata in a script, as PEP 723 defines it.
_PEP723 = re.compile(r"(?m)^# /// (?P<type>[a-zA-Z0-9-]+)$\s(?P<content>(^#(| .*)$\s)+)^# ///$")
_NPM_FILES = ("package.json", "package-lock.json", "npm-shrinkwrap.json")
_MINUTES = 15
_LAST_LINES = 5


@frozen
class Needs:
    """What is to be installed: npm's files, or pip's requirements."""

    what: str
    files: Mapping[str, bytes]

    @staticmethod
    def resolved(text: str) -> Json:
        """Read back what was resolved."""
        return json.loads(text)


@mutable
class Installation:
    """An installation under way, which another thread may end."""

    process: "subprocess.Popen[bytes] | None" = None
    abandoned: bool = False

    def abandon(self) -> None:
        """End it: nobody wants it any more."""
        self.abandoned = True
        if self.process is not None:
            _kill(self.process)

    def run(self, command: list[str], folder: Path, env: Mapping[str, str]) -> None:
        """Run a command to its end. Raises UnavailableError if it fails, takes too long or is abandoned."""
        import subprocess

        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            self.process = process
            if self.abandoned:
                _kill(process)
            output, _ = process.communicate(timeout=_MINUTES * 60)
        except subprocess.TimeoutExpired as error:
            message = f"{Path(command[0]).name} did not end within {_MINUTES} minutes"
            raise UnavailableError(message) from error
        finally:
            if process.returncode is None:
                _kill(process)
                process.wait()
            self.process = None
        if self.abandoned:
            message = "nobody wants this revision any more"
            raise UnavailableError(message)
        if process.returncode:
            said = [line for line in output.decode(errors="replace").splitlines() if line.strip()]
            message = f"installing dependencies failed: {' / '.join(said[-_LAST_LINES:]) or f'exit status {process.returncode}'}"
            raise UnavailableError(message)


def _kill(process: "subprocess.Popen[bytes]") -> None:
    """Kill a process with everything that it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def needs_of(revision: Revision, code: Mapping[str, bytes]) -> Needs | None:
    """Return what a revision asks for, None if nothing. Raises RejectedError if that cannot be read."""
    return _npm_needs(revision, code) if revision.runtime == "node" else _pip_needs(revision, code)


def _npm_needs(revision: Revision, code: Mapping[str, bytes]) -> Needs | None:
    if "package.json" not in code:
        return None
    try:
        package = json.loads(code["package.json"])
    except ValueError as error:
        message = f"workflow {revision.workflow!r}: package.json is not JSON: {error}"
        raise RejectedError(message) from error
    if not isinstance(package, dict) or not package.get("dependencies"):
        return None
    return Needs("npm", {name: code[name] for name in _NPM_FILES if name in code})


def _pip_needs(revision: Revision, code: Mapping[str, bytes]) -> Needs | None:
    script = script_metadata(revision, code.get(revision.entry, b""))
    listed = script.get("dependencies", [])
    if listed:
        return Needs("pip", {"requirements.txt": "".join(f"{line}\n" for line in listed).encode()})
    text = code.get("requirements.txt", b"")
    if any(line.strip() and not line.lstrip().startswith(b"#") for line in text.splitlines()):
        return Needs("pip", {"requirements.txt": text})
    return None


def script_metadata(revision: Revision, source: bytes) -> Mapping[str, Json]:
    """Return the `script` block of a Python file (PEP 723), empty if there is none. Raises RejectedError."""
    import tomllib

    blocks = [found for found in _PEP723.finditer(source.decode("utf-8", "replace")) if found["type"] == "script"]
    if not blocks:
        return {}
    if len(blocks) > 1:
        message = f"workflow {revision.workflow!r}: {revision.entry} has more than one script block (PEP 723)"
        raise RejectedError(message)
    text = "".join(line[2:] if line.startswith("# ") else line[1:] for line in blocks[0]["content"].splitlines(keepends=True))
    try:
        metadata = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = f"workflow {revision.workflow!r}: the script block of {revision.entry} is not TOML: {error}"
        raise RejectedError(message) from error
    listed = metadata.get("dependencies", [])
    if not isinstance(listed, list) or not all(isinstance(line, str) and "\n" not in line for line in listed):
        message = f"workflow {revision.workflow!r}: dependencies in the script block of {revision.entry} must be a list of lines"
        raise RejectedError(message)
    return metadata


def install(needs: Needs, interpreter: Interpreter, folder: Path, resolved: str, progress: Progress, under_way: Installation) -> None:
    """Install into `folder` and leave what was resolved in a file there. Raises RejectedError, UnavailableError."""
    for name, content in needs.files.items():
        (folder / name).write_bytes(content)
    if needs.what == "npm":
        _npm(interpreter, folder, progress, under_way)
        (folder / resolved).write_text(json.dumps(_npm_resolved(folder)))
    else:
        _pip(interpreter, folder, progress, under_way)
        (folder / resolved).write_text(json.dumps(_pip_resolved(folder)))


def _npm(interpreter: Interpreter, folder: Path, progress: Progress, under_way: Installation) -> None:
    import shutil

    beside = Path(interpreter.path).with_name("npm")
    npm = str(beside) if beside.exists() else shutil.which("npm")
    if npm is None:
        message = "package.json names dependencies, and npm is not installed here"
        raise RejectedError(message)
    locked = any((folder / name).exists() for name in _NPM_FILES[1:])
    command = [npm, "ci" if locked else "install", "--omit=dev", "--no-audit", "--no-fund", "--loglevel=error"]
    progress(f"installing npm packages ({'as locked' if locked else 'no lock file'})")
    under_way.run(command, folder, {"PATH": f"{Path(interpreter.path).parent}:{os.environ.get('PATH', '')}"})


def _pip(interpreter: Interpreter, folder: Path, progress: Progress, under_way: Installation) -> None:
    import subprocess

    check = subprocess.run([interpreter.path, "-I", "-c", "import pip"], capture_output=True, check=False, timeout=60)
    if check.returncode:
        message = f"the workflow names Python packages, and {interpreter.path} has no pip to install them: install pip for it, or name another Python"
        raise RejectedError(message)
    progress("installing Python packages")
    command = [interpreter.path, "-I", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--no-warn-script-location"]
    under_way.run([*command, "--target", str(folder), "-r", "requirements.txt"], folder, {})


def _npm_resolved(folder: Path) -> dict[str, str]:
    try:
        lock = json.loads((folder / "package-lock.json").read_bytes())
    except (OSError, ValueError):
        return {}
    packages = lock.get("packages", {})
    return {name.removeprefix("node_modules/"): facts["version"] for name, facts in sorted(packages.items()) if name and "version" in facts}


def _pip_resolved(folder: Path) -> dict[str, str]:
    found = {}
    for info in sorted(folder.glob("*.dist-info")):
        name, _, version = info.name.removesuffix(".dist-info").partition("-")
        found[name] = version
    return found
