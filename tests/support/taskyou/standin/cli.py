"""Which commands there are, which flags they take, and which function carries each one out."""

from __future__ import annotations

from importlib import import_module

from .answer import FailedError, styled
from .flags import Command, Flag, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .call import Call

_TEXT, _NUMBER, _SWITCH = Flag("text"), Flag("number"), Flag("switch")
_TYPE, _PROJECT, _FORCE = Flag("text", "t"), Flag("text", "p"), Flag("switch", "f")
_ID = (1, 1)
_CREATE = {
    **dict.fromkeys(("body", "effort", "model", "permission-mode", "tags"), _TEXT),
    **dict.fromkeys(("dangerous", "pinned", "remote-control", "json"), _SWITCH),
    "type": _TYPE,
    "project": _PROJECT,
    "executor": Flag("text", "e"),
    "execute": Flag("switch", "x"),
    "branch": Flag("text", "b"),
}
_LIST = {
    "status": Flag("text", "s"),
    "project": _PROJECT,
    "type": _TYPE,
    "tag": _TEXT,
    "all": Flag("switch", "a"),
    "limit": Flag("number", "n"),
    "json": _SWITCH,
    "pr": _SWITCH,
}
_UPDATE = {**dict.fromkeys(("title", "body", "tags"), _TEXT), "type": _TYPE, "project": _PROJECT, "executor": Flag("text", "e"), "pinned": _SWITCH}
_HAND = {"dangerous": _SWITCH, "permission-mode": _TEXT}
COMMANDS: dict[str, tuple[str, Command]] = {
    "create": ("writing:create", Command("create [title]", _CREATE, (0, 1))),
    "list": ("reading:listed", Command("list", _LIST, (0, 99))),
    "show": ("reading:show", Command("show <task-id>", {"json": _SWITCH, "logs": _SWITCH}, _ID)),
    "update": ("writing:update", Command("update <task-id>", _UPDATE, _ID)),
    "status": ("writing:status", Command("status <task-id> <status>", {}, (2, 2))),
    "close": ("writing:close", Command("close <task-id>", {}, _ID)),
    "complete": ("writing:complete", Command("complete <task-id>", {"summary": _TEXT}, _ID, usage=False)),
    "pin": ("writing:pin", Command("pin <task-id>", {"unpin": _SWITCH, "toggle": _SWITCH}, _ID)),
    "block": ("writing:block", Command("block <task-id>", {"by": _NUMBER, "auto-queue": _SWITCH}, _ID, needs="by")),
    "unblock": ("writing:unblock", Command("unblock <task-id>", {"from": _NUMBER}, _ID, needs="from")),
    "deps": ("reading:dependencies", Command("deps <task-id>", {}, _ID)),
    "delete": ("writing:delete", Command("delete <task-id>", {"force": _FORCE, "hard": _SWITCH}, _ID)),
    "restore": ("writing:restore", Command("restore <task-id>", {}, _ID)),
    "trash": ("reading:trash", Command("trash", {}, (0, 0))),
    "move": ("writing:move", Command("move <task-id> <target-project>", {"force": _FORCE, "execute": Flag("switch", "e")}, (2, 2))),
    "execute": ("writing:execute", Command("execute <task-id>", _HAND, _ID)),
    "run": ("writing:execute", Command("run <task-id>", _HAND, _ID)),
    "retry": ("writing:retry", Command("retry <task-id>", {"feedback": Flag("text", "m")}, _ID)),
    "board": ("reading:board", Command("board", {"json": _SWITCH, "limit": _NUMBER}, (0, 0))),
    "types": ("projects:types", Command("types", {"json": _SWITCH}, (0, 0))),
    "events list": ("reading:events", Command("events list", {"json": _SWITCH, "limit": _NUMBER, "type": _TEXT, "task": _NUMBER}, (0, 0))),
    "projects list": ("projects:listed", Command("projects list", {"json": _SWITCH}, (0, 0))),
    "projects show": ("projects:show", Command("projects show <name>", {"json": _SWITCH}, (1, 1))),
    "plugins dir": ("plugins:folder", Command("plugins dir", {}, (0, 0), usage=False)),
    "plugins list": ("plugins:listed", Command("plugins list", {}, (0, 0), usage=False)),
    "plugins run": ("plugins:run", Command("plugins run <plugin> <action> [task-id]", {}, (2, 3), usage=False)),
    "plugins add": ("plugins:add", Command("plugins add <source>", {"name": _TEXT}, (1, 1), usage=False)),
    "settings set": ("daemon:set_setting", Command("settings set <key> <value>", {}, (2, 2))),
    "daemon status": ("daemon:status", Command("daemon status", {}, (0, 0))),
}
_ALIASES = {"done": "close", "queue": "execute"}
_GROUPS = ("events", "projects", "plugins", "settings", "daemon")
# Commands of the real program that this one does not play; they are only suggested, as the real one does.
_OTHERS = (
    *("answer", "artifact", "bulk", "completion", "doctor", "help", "input", "logs", "output", "panel", "pipeline", "restart"),
    *("routines", "serve", "sessions", "tail", "upgrade", "workflow", "worktrees"),
)
_SINCE = ("complete", "trash", "restore", "plugins dir", "plugins list", "plugins run", "plugins add")


def run(call: Call, argv: list[str]) -> None:
    """Carry out one command line."""
    if argv in (["--version"], ["-v"]):
        call.answer.say("0.2.0" if call.settings.get("old") else call.settings.get("version", "0.3.24"))
        return
    name, rest = _command(call, argv)
    place, command = COMMANDS[name]
    if call.settings.get("old"):
        command = command.without("tag", "hard")
    call.given = parse(command, rest)
    module, function = place.split(":")
    getattr(import_module(f".{module}", __package__), function)(call)


def _command(call: Call, argv: list[str]) -> tuple[str, list[str]]:
    if not argv:
        text = "Error: could not open a new TTY: open /dev/tty: no such device or address"
        raise FailedError(text)
    if argv[0].startswith("-"):
        text = f"unknown flag: {argv[0]}" if argv[0].startswith("--") else f"unknown shorthand flag: {argv[0][1]!r} in {argv[0]}"
        raise FailedError(f"Error: {text}\nUsage:\n  ty [flags]\n\nError: {text}")
    length = 2 if argv[0] in _GROUPS else 1
    name = " ".join(argv[:length])
    name = _ALIASES.get(name, name)
    if call.settings.get("old") and name in _SINCE:
        name = "close" if name == "complete" else ""
    if name not in COMMANDS:
        raise _unknown(argv[0])
    return name, argv[length:]


def _unknown(word: str) -> FailedError:
    text = f'Error: unknown command "{word}" for "ty"'
    known = {name.split()[0] for name in COMMANDS} | set(_OTHERS) | set(_ALIASES)
    near = sorted(name for name in known if _distance(word.lower(), name) <= 2 or name.startswith(word.lower()))
    hint = "\n\nDid you mean this?\n" + "".join(f"\t{name}\n" for name in near) if near else ""
    return FailedError(f"{text}{hint}\nRun 'ty --help' for usage.\n{styled(text + hint)}")


def _distance(one: str, other: str) -> int:
    """Return how many letters must change to make `other` of `one`."""
    row = list(range(len(other) + 1))
    for at, letter in enumerate(one, 1):
        last, row[0] = row[0], at
        for to, wanted in enumerate(other, 1):
            last, row[to] = row[to], min(row[to] + 1, row[to - 1] + 1, last + (letter != wanted))
    return row[-1]
