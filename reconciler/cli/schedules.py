"""What commands say and do about schedules: list, status, start and backfill."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from reconciler import schedules as asking
from reconciler.cli.context import CONTEXT
from reconciler.cli.declare import duration_option
from reconciler.cli.look import ended, find_run, view_of
from reconciler.cli.outcome import LiveLines, ended_rows, exit_code, failures, results, unfinished
from reconciler.duration import format_duration
from reconciler.errors import UsageError
from reconciler.instants import stamp
from reconciler.journal import decode_json
from reconciler.model import TERMINAL, Desired, Place
from reconciler.passed import Passed
from reconciler.render import plural, table
from reconciler.scheduleviews import HEADER, schedule_cells, schedule_lines, schedule_view
from reconciler.state import schedules


def list_schedules(*, as_json: bool) -> int:
    """List the schedules of all places, or of the one that is meant."""
    service = CONTEXT.service
    now = CONTEXT.clock.now()
    with service.reading() as store:
        rows = [] if store is None else schedules.list_schedules(store, project=service.project, environment=service.environment)
        active = {} if store is None else schedules.active_by_schedule(store)
        good = [None if store is None else schedules.last_successful(store, Place(row["project"], row["environment"]), row["name"]) for row in rows]
    views = [schedule_view(row, _active(row, active), last, now) for row, last in zip(rows, good, strict=True)]
    if as_json:
        CONTEXT.json(views)
    elif not views:
        CONTEXT.say("No schedules yet: declare one in a folder, and `ty-openworkflow reconcile --once DIR` takes it.")
    else:
        CONTEXT.say(*table(HEADER, [schedule_cells(view, now) for view in views], CONTEXT.paint))
    return 0


def _active(row: Mapping[str, Any], active: Mapping[tuple[str, str, str], list[str]]) -> list[str]:
    return active.get((row["project"], row["environment"], f"schedule/{row['name']}"), [])


def schedule_status(name: str, *, as_json: bool) -> int:
    """Show one schedule with its next slots."""
    now = CONTEXT.clock.now()
    row = asking.find_schedule(CONTEXT.service, name)
    with CONTEXT.service.reading() as store:
        assert store is not None
        last = schedules.last_successful(store, Place(row["project"], row["environment"]), name)
        view = schedule_view(row, _active(row, schedules.active_by_schedule(store)), last, now)
    if as_json:
        CONTEXT.json(view)
    else:
        CONTEXT.say(*schedule_lines(view, now))
    return 0


def start_schedule(name: str, run: str | None, *, wait: bool, timeout: str | None, as_json: bool) -> int:
    """Start a run of a schedule now, and print its id."""
    patience = duration_option("--timeout", timeout)
    service = CONTEXT.service
    started = asking.trigger(service, asking.find_schedule(service, name.removeprefix("schedule/")), run)
    if not as_json:
        CONTEXT.say(started)
    passed = service.reconcile([], "start", lambda *_: None)
    passed.about = f"run/{started}"
    failures(passed)
    row = find_run(started)
    if wait and row["completed_at"] is None:
        passed.wanted = frozenset({row["uid"]})
        service.follow(passed, passed.wanted, "start --wait", parked=False, timeout=patience, seen=LiveLines(passed, quiet=True).seen)
    if wait:
        return ended(started, passed, as_json=as_json)
    if as_json:
        CONTEXT.json(view_of(row))
    elif row["status"] not in TERMINAL:
        CONTEXT.tell(f"`ty-openworkflow status {started}` shows it, `ty-openworkflow logs -f {started}` follows it")
    return 1 if passed.failed else 0


def backfill(name: str, begin: str | None, end: str | None, *, dry: bool, run: str | None, wait: bool, timeout: str | None, as_json: bool) -> int:
    """Start the runs of slots that have passed and have none; a slot has one run, however often this is asked."""
    patience = duration_option("--timeout", timeout)
    if begin is None or run is not None:
        wrong = "--as is for one run" if begin is not None else "--to and --dry-run go with --from"
        message = f"{wrong}: the slots from one instant to another are started under their own names"
        raise UsageError(message)
    service = CONTEXT.service
    row = asking.find_schedule(service, name.removeprefix("schedule/"))
    zone = str(decode_json(row["spec"]).get("timeZone", "UTC"))
    since = asking.instant_option("--from", begin, zone)
    now = CONTEXT.clock.now()
    until = now if end is None else asking.instant_option("--to", end, zone, end_by=now)
    found = asking.backfill(service, row, since, until, dry=dry)
    fresh = [made for made in found if made.fresh]
    if as_json:
        actions = {True: "start", False: "exists"}
        CONTEXT.json([{"id": made.name, "slot": stamp(made.slot), "action": actions[made.fresh], "uid": made.uid} for made in found])
    else:
        CONTEXT.say(*[f"{made.name}  {stamp(made.slot)[:19]}Z  {'start' if made.fresh else 'exists'}" for made in found])
        what = "would be started" if dry else "started" if len(fresh) == 1 else "are started, as there is room"
        CONTEXT.say(f"{plural(len(found), 'slot')}, {len(fresh)} {what}, {len(found) - len(fresh)} had a run before")
    if dry or not fresh:
        return 0
    passed = service.reconcile([], "start", lambda *_: None)
    passed.wanted = passed.started = frozenset(made.uid for made in fresh)
    return _waited(passed, wait=wait, patience=patience, as_json=as_json)


def _waited(passed: Passed, *, wait: bool, patience: timedelta | None, as_json: bool) -> int:
    """Wait for the runs of a backfill if that was asked for, and say what became of them."""
    if not as_json:
        failures(passed)
    if wait:
        seen = LiveLines(passed, quiet=as_json).seen
        CONTEXT.service.follow(passed, passed.wanted, "start --wait", parked=False, timeout=patience, seen=seen)
    rows = ended_rows(passed)
    left = [run for run in passed.active.values() if run.uid in passed.wanted]
    if not as_json:
        if rows:
            CONTEXT.say("", *results(rows))
        if left:
            unfinished(left, waited=wait)
    return exit_code(passed, rows)


def tell_next(folders: Sequence[Desired]) -> None:
    """Say when the next slot of these folders is due, for whoever calls passes by hand or by a timer."""
    places = {desired.place for desired in folders if desired.schedules}
    with CONTEXT.service.reading() as store:
        rows = [] if store is None or not places else schedules.list_schedules(store, project=None, environment=None)
    found = sorted((row["next_at"], row["name"]) for row in rows if row["next_at"] and Place(row["project"], row["environment"]) in places)
    if found:
        text, name = found[0]
        left = datetime.fromisoformat(text) - CONTEXT.clock.now()
        when = f"in {format_duration(left)}" if left > timedelta(0) else "now"
        CONTEXT.tell(f"The next slot is that of schedule/{name} at {text[:19]}Z ({when}): a pass at that time, or soon after, starts its run.")
