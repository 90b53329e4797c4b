"""The other program called `ty`, a type checker; it knows nothing about tasks."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_COMMANDS = ("check", "server", "version", "help", "generate-shell-completion")


def answer(argv: list[str]) -> dict[str, Any]:
    """Return what that program answers to `argv`."""
    if argv[:1] in (["--version"], ["-V"], ["version"]):
        return {"out": "ty 0.0.1-alpha.105\n", "code": 0}
    if argv and argv[0] in _COMMANDS:
        return {"out": "All checks passed!\n", "code": 0}
    word = argv[0] if argv else ""
    return {"err": f"error: unrecognized subcommand '{word}'\n\nUsage: ty <COMMAND>\n\nFor more information, try '--help'.\n", "code": 2}
