"""The command that shows what happened: events, and the passes that did something."""

from contextlib import suppress
from datetime import datetime
from typing import Annotated, Any

from reconciler.cli.context import CONTEXT, wants_json
from reconciler.cli.declare import JsonOption, OutputOption, duration_option
from reconciler.cli.options import Argument, option
from reconciler.errors import UsageError
from reconciler.render_status import event_line, event_lines, pass_lines
from reconciler.state import events as history
from reconciler.suspending import KINDS
from reconciler.views import FORMAT

_AT_LEAST_EVERY_MS = 30_000  # hints may be lost
_WITHOUT_FOLDER_MS = 500  # nothing can be watched yet
_INTERRUPTED = 130


def events(
    what: Annotated[str | None, Argument("[KIND/NAME]", "Only what happened to this object.")] = None,
    follow: Annotated[bool, option("-f", "--follow", help="Go on with what happens from now on, until Ctrl-C.")] = False,
    number: Annotated[int, option("-n", "--limit", help="How many at the most, the latest.")] = 50,
    since: Annotated[str | None, option("--since", help="Only what happened in this time, such as 1h.")] = None,
    passes: Annotated[bool, option("--passes", help="The passes that did something, instead of events.")] = False,
    output: OutputOption = "text",
    as_json: JsonOption = False,
) -> int:
    """Show what happened: the same again is counted, the latest is last."""
    as_json = wants_json(output, as_json)
    if number < 1:
        message = f"-n {number}: at least one"
        raise UsageError(message)
    if passes and (follow or what is not None):
        message = "--passes goes with -n and -o only"
        raise UsageError(message)
    if what is not None and (what.partition("/")[0] not in KINDS or not what.partition("/")[2]):
        message = f"{what}: write run/NAME, workflow/NAME or schedule/NAME"
        raise UsageError(message)
    patience = duration_option("--since", since)
    after = None if patience is None else CONTEXT.clock.now() - patience
    if passes:
        return _passes(number, as_json=as_json)
    if not follow:
        found, _ = _read(what, after, 0, number)
        if as_json:
            CONTEXT.json([_view(event) for event in found])
        else:
            CONTEXT.say(
                *(event_lines(found, CONTEXT.paint, CONTEXT.clock.now()) or ["Nothing has happened yet." if what is None else "Nothing of it."])
            )
        return 0
    with suppress(KeyboardInterrupt):
        _follow(what, after, number, as_json=as_json)
    return _INTERRUPTED


def _read(what: str | None, since: datetime | None, after: int, limit: int) -> tuple[list[dict[str, Any]], int]:
    """Return events and the number of the latest one of all."""
    service = CONTEXT.service
    with service.reading() as store:
        if store is None:
            return [], after
        found = history.events_of(store, about=what, project=service.project, environment=service.environment, since=since, after=after, limit=limit)
        return found, history.newest(store)


def _follow(what: str | None, since: datetime | None, number: int, *, as_json: bool) -> None:
    """Print what there is, then what comes, a line each. The kernel tells when the database changes; now and then we look without being told."""
    from reconciler.triggers.wakeups import Wakeups

    folder = CONTEXT.service.data_dir
    with Wakeups() as wakeups:
        last, limit = 0, number
        while True:
            watched = folder.is_dir()
            if watched:
                wakeups.watch([str(folder)], modified=True)
            found, last = _read(what, since, last, limit)
            for event in found:
                CONTEXT.line(_view(event)) if as_json else CONTEXT.say(event_line(event, CONTEXT.paint, None))
            limit = -1
            wakeups.wait((), _AT_LEAST_EVERY_MS if watched else _WITHOUT_FOLDER_MS)


def _passes(number: int, *, as_json: bool) -> int:
    with CONTEXT.service.reading() as store:
        found = [] if store is None else history.last_passes(store, number)
    if as_json:
        CONTEXT.json([{"format_version": FORMAT, **one} for one in found])
    else:
        CONTEXT.say(*(pass_lines(found, CONTEXT.paint, CONTEXT.clock.now()) or ["No pass has done anything yet."]))
    return 0


def _view(event: dict[str, Any]) -> dict[str, Any]:
    return {"format_version": FORMAT, **event}
