"""Units for service managers: systemd and launchd start the loop, and leave workers alone when they end or restart it."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

LABEL = "ty-openworkflow"
_BOOTSTRAP = "import sys; sys.path.insert(0, sys.argv.pop(1)); from reconciler.cli import main; main()"


def program() -> list[str]:
    """Return the words that start this program from anywhere."""
    called = Path(sys.argv[0])
    if called.name == LABEL and called.is_file():
        return [str(called.absolute())]
    return [sys.executable, "-P", "-c", _BOOTSTRAP, str(Path(__file__).parents[2])]


def systemd(command: Sequence[str], environment: Mapping[str, str]) -> str:
    """Return a user unit. Only the loop itself is ended with it (KillMode=process): its workers go on."""
    variables = "".join(f"Environment={_quoted(f'{name}={value}')}\n" for name, value in environment.items())
    return f"""\
[Unit]
Description=ty-openworkflow: reconciles workflows and runs
Documentation=man:systemd.kill(5)

[Service]
ExecStart={" ".join(map(_quoted, command))}
{variables}KillMode=process
TimeoutStopSec=10
Restart=on-failure
RestartSec=5
RestartPreventExitStatus=3 4 64

[Install]
WantedBy=default.target
"""


def _quoted(word: str) -> str:
    r"""Quote one word for a unit file: `%` and `$` stand for themselves, as do quotes and backslashes (systemd.syntax(7))."""
    text = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{text}"' if text != word or not word or any(letter in word for letter in " '\t") else word


def launchd(command: Sequence[str], environment: Mapping[str, str], log: Path) -> bytes:
    """Return a launch agent. AbandonProcessGroup leaves workers alone when the loop ends (launchd.plist(5))."""
    import plistlib

    return plistlib.dumps(
        {
            "Label": LABEL,
            "ProgramArguments": list(command),
            "EnvironmentVariables": dict(environment),
            "RunAtLoad": True,
            "KeepAlive": {"SuccessfulExit": False},
            "ThrottleInterval": 5,
            "AbandonProcessGroup": True,
            "StandardOutPath": str(log),
            "StandardErrorPath": str(log),
        }
    )


def _put(path: Path, text: bytes) -> str:
    """Write a unit that is not there, and say so; one that is may have been edited."""
    if path.exists():
        return f"kept     {path}{'' if path.read_bytes() == text else ' (it differs from a new one: remove it to have that)'}"
    path.write_bytes(text)
    return f"wrote    {path}"


def write(folder: Path, words: Sequence[str], log: Path) -> list[str]:
    """Write both units into `folder`, for a loop that is started with these words, and return what to type next."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    command = [*program(), *words]
    environment = {"PATH": os.environ.get("PATH", os.defpath)}  # node and python are looked for there
    unit, agent = folder / f"{LABEL}.service", folder / f"{LABEL}.plist"
    texts = {unit: systemd(command, environment).encode(), agent: launchd(command, environment, log)}
    return [
        *(_put(path, text) for path, text in texts.items()),
        f"next: systemctl --user enable --now {unit} && loginctl enable-linger (Linux)",
        f"      launchctl bootstrap gui/$(id -u) {agent} (macOS)",
    ]
