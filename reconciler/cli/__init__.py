"""The command line."""

import errno
import io
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from reconciler.errors import TyOpenworkflowError, UsageError

if TYPE_CHECKING:
    from reconciler.cli.context import Globals
    from reconciler.cli.options import Command

VERSION = "0.1.0"
_USAGE = 64
_INTERRUPTED = 130
# What keeps files from being used and is no mistake of ours: permissions, a full or broken disk, too many open files.
_OF_THE_MACHINE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM}
_GLOBALS = {"--config": "config", "--data-dir": "data_dir", "--project": "project", "--env": "env"}


def main() -> None:
    """Run the program and exit with its code. An error of ours is one or two lines, never a traceback."""
    os.umask(0o077)  # state and settings are their owner's alone
    _mend_streams()
    try:
        _check_folder()
        code = _run(sys.argv[1:])
        sys.stdout.flush()
        _settle()
    except TyOpenworkflowError as error:
        _complain(str(error))
        code = error.exit_code
    except KeyboardInterrupt:
        _complain("interrupted; runs go on in their workers, `ty-openworkflow status` shows them")
        sys.stdout.flush()
        sys.stderr.flush()
        # Python would end by SIGINT itself if the interrupt came while a class was being made from text, whoever caught it then.
        os._exit(_INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        code = 1
    except OSError as error:
        if error.errno not in _OF_THE_MACHINE:
            raise
        _complain(f"{f'{error.filename}: ' if error.filename else ''}{error.strerror} (`ty-openworkflow doctor` looks for the cause)")
        code = 1
    sys.exit(code)


def _settle() -> None:
    """Have TaskYou told what this call has to tell it."""
    context = sys.modules.get("reconciler.cli.context")
    if context is not None:
        context.CONTEXT.settle()


def _check_folder() -> None:
    """Raise UsageError if the present folder was deleted: no relative path means anything there."""
    try:
        os.getcwd()
    except FileNotFoundError as error:
        message = "the present folder was deleted: change to another one"
        raise UsageError(message) from error


def _mend_streams() -> None:
    """Make closed streams empty ones, show progress line by line in a pipe too, and let no character be one too many for a terminal."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace", line_buffering=True)


def _complain(message: str) -> None:
    from reconciler.cli.context import CONTEXT
    from reconciler.render import Paint, plain

    if message:
        sys.stdout.flush()
        sys.stderr.write(f"{Paint(sys.stderr)('error', 'red')}: {plain(CONTEXT.pasteable(message))}\n")


def _run(words: Sequence[str]) -> int:
    if list(words) == ["--version"]:
        sys.stdout.write(f"ty-openworkflow {VERSION}\n")
        return 0
    from reconciler.cli.context import CONTEXT
    from reconciler.cli.options import read_quickly

    options, rest = _globals(words)
    if rest:
        command = _commands(rest[0]).get(rest[0])
        if command is not None and options is not None:
            values = read_quickly(command, rest[1:])
            if values is not None:
                CONTEXT.options = options
                return command(**values)
    return _with_typer(words)


def _globals(words: Sequence[str]) -> tuple["Globals | None", list[str]]:
    """Read the options in front of the command; None where typer has to answer."""
    from reconciler.cli.context import Globals

    found: dict[str, str] = {}
    rest = list(words)
    while rest and rest[0].startswith("-"):
        name, sep, value = rest.pop(0).partition("=")
        if name not in _GLOBALS or (not sep and not rest):
            return None, rest
        found[_GLOBALS[name]] = value if sep else rest.pop(0)
    return Globals(**found), rest


def _commands(only: str | None = None) -> "dict[str, Command]":
    """Return the commands by name; with `only`, no more than what holds that one is imported."""
    commands: dict[str, Any] = {}
    if only in (None, "validate", "plan", "reconcile"):
        from reconciler.cli import declare

        commands |= {"validate": declare.validate, "plan": declare.plan, "reconcile": declare.reconcile}
    if only in (None, "serve"):
        from reconciler.cli import loop

        commands["serve"] = loop.serve
    if only in (None, "list", "status", "logs", "wait"):
        from reconciler.cli import look

        commands |= {"list": look.list_objects, "status": look.status, "logs": look.logs, "wait": look.wait}
    if only in (None, "deploy", "start", "delete"):
        from reconciler.cli import write

        commands |= {"deploy": write.deploy, "start": write.start, "delete": write.delete}
    if only in (None, "cancel", "signal", "rerun", "retry", "replay"):
        from reconciler.cli import request

        names = {"cancel": request.cancel, "signal": request.signal, "rerun": request.rerun, "retry": request.retry, "replay": request.replay}
        commands |= names
    if only in (None, "events"):
        from reconciler.cli import history

        commands |= {"events": history.events}
    if only in (None, "suspend", "resume"):
        from reconciler.cli import hold

        commands |= {"suspend": hold.suspend, "resume": hold.resume}
    if only in (None, "state"):
        from reconciler.cli import state

        commands |= {"state": state.state}
    if only in (None, "init", "doctor", "schema"):
        from reconciler.cli import setup

        commands |= {"init": setup.init, "doctor": setup.doctor, "schema": setup.schema}
    return commands


_GROUPS = {
    "Set up": ("init", "doctor", "schema"),
    "Manifests": ("validate", "plan", "reconcile", "serve"),
    "Write manifests for me": ("deploy", "start", "delete"),
    "Requests": ("cancel", "signal", "rerun", "retry", "suspend", "resume"),
    "Look": ("list", "status", "events", "logs", "wait", "replay"),
    "State": ("state",),
}


def _with_typer(words: Sequence[str]) -> int:
    """Let typer read the call: it explains, and knows what is near to a word that it does not know."""
    from typing import Annotated

    import typer

    from reconciler.cli.context import CONTEXT, Globals
    from reconciler.cli.options import for_typer

    app = typer.Typer(name="ty-openworkflow", add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode="rich")
    codes: list[int] = []

    def print_version(wanted: bool) -> None:
        if wanted:
            CONTEXT.say(f"ty-openworkflow {VERSION}")
            raise typer.Exit

    @app.callback()
    def program(
        version: Annotated[bool, typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=print_version)] = False,  # noqa: ARG001
        config: Annotated[str | None, typer.Option("--config", metavar="FILE", help="Settings file.")] = None,
        data_dir: Annotated[str | None, typer.Option("--data-dir", metavar="DIR", help="Where state, runs and local manifests are kept.")] = None,
        project: Annotated[str | None, typer.Option("--project", metavar="NAME", help="The project that is meant.")] = None,
        env: Annotated[str | None, typer.Option("--env", metavar="NAME", help="The environment that is meant.")] = None,
    ) -> None:
        """Durable workflows that you declare in a folder: a Run is carried out once, survives anything, and is never run twice."""
        CONTEXT.options = Globals(config, data_dir, project, env)

    commands = _commands()
    for group, names in _GROUPS.items():
        for name in names:
            app.command(name, rich_help_panel=group)(for_typer(commands[name], codes.append))
    try:
        result = app(args=list(words), standalone_mode=False, prog_name="ty-openworkflow")
    except _usage_error() as error:
        raise UsageError(_usage_text(error)) from error
    except typer.Abort as error:
        raise KeyboardInterrupt from error
    except typer.Exit as error:
        return int(error.exit_code)
    if codes:
        return codes[-1]
    return result if isinstance(result, int) else 0


def _usage_error() -> type[Exception]:
    """Return the usage error of whichever click typer is built on: it brings its own."""
    import typer

    found: type[Exception] = typer.BadParameter.__mro__[1]
    return found


def _usage_text(error: Exception) -> str:
    context, explain = getattr(error, "ctx", None), getattr(error, "format_message", None)
    path = context.command_path if context is not None else "ty-openworkflow"
    text = explain() if explain is not None else str(error)
    return f"{text} (`{path} --help` explains)" if text else ""  # without a command the help was printed
