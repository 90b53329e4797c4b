"""What people ask of one schedule by command: a run of it now, and the runs of slots that have passed."""

import re
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from reconciler.digest import Json
from reconciler.errors import RejectedError, UsageError
from reconciler.instants import stamp
from reconciler.journal import decode_json
from reconciler.model import Place
from reconciler.people import person
from reconciler.plan.cards import with_card
from reconciler.plan.slotruns import Maker, owner_of
from reconciler.recorded import ActiveRun
from reconciler.service import Service
from reconciler.slots import ZoneError, latest_slots, slot_name, timing_of, zone_of
from reconciler.state import Store, cards, events, requests, runs, schedules, workflows
from reconciler.state.runs import source_from
from reconciler.values import frozen

Row = Mapping[str, Any]
MOST_BACKFILL = 1000
_LONGEST = 40
_DAY = re.compile(r"\d{4}-\d\d-\d\d|\d{8}")


@frozen
class Filled:
    """One slot of a backfill: the name of its run, and whether there was none before."""

    slot: datetime
    name: str
    uid: str
    fresh: bool


def trigger(service: Service, row: Row, name: str | None) -> str:
    """Ask for a run of a schedule now, whatever its times and other runs are; returns the name of the run."""
    with service.writing("start") as store, store.transaction():
        now = service.clock.now()
        run = _maker(service, store, row).run(now, now=now, name=name or manual_name(row["name"], now), asked="manual")
        if schedules.taken_names(store, run.place, [run.name]):
            message = f"run {run.name!r} is there already: choose another name with --as"
            raise RejectedError(message)
        _ask(service, store, run, now=now)
        _request(store, row, "start", {"run": run.name}, now=now)
        return run.name


def manual_name(schedule: str, now: datetime) -> str:
    """Return a name for a run that a person asked for: no slot has it."""
    return f"{schedule[:_LONGEST].rstrip('-')}-{now:%Y%m%dt%H%M%S}z-{secrets.token_hex(2)}"


def backfill(service: Service, row: Row, begin: datetime, end: datetime, *, dry: bool) -> list[Filled]:
    """Ask for the run of every slot from one instant to another, both included, that has none yet; with `dry` only say which.

    Names and identities are those of the slots, so that a second time, and a slot that was started in time, changes nothing. Where the schedule
    does not allow overlap they run one after another.
    """
    wanted = _slots(service, row, begin, end)
    if dry:
        with service.reading() as store:
            if store is None:
                return []
            return [made for made, _ in _filled(service, store, row, wanted)]
    with service.writing("start") as store, store.transaction():
        now = service.clock.now()
        found = _filled(service, store, row, wanted)
        asked = [run for made, run in found if made.fresh and _ask(service, store, run, now=now)]
        if asked:
            span = {"from": stamp(begin), "to": stamp(end), "runs": len(asked)}
            _request(store, row, "backfill", span, now=now)
    return [made for made, _ in found]


def _slots(service: Service, row: Row, begin: datetime, end: datetime) -> list[datetime]:
    now = service.clock.now()
    if end < begin:
        message = f"--to {stamp(end)[:19]}Z is before --from {stamp(begin)[:19]}Z"
        raise UsageError(message)
    if end > now:
        message = f"--to {stamp(end)[:19]}Z is still to come: a backfill is of slots that have passed"
        raise UsageError(message)
    found = latest_slots(timing_of(decode_json(row["spec"])), begin - timedelta(microseconds=1), end, MOST_BACKFILL + 1)
    if len(found) > MOST_BACKFILL:
        message = f"there are more than {MOST_BACKFILL} slots between --from and --to: fill them in parts"
        raise UsageError(message)
    return found


def _filled(service: Service, store: Store, row: Row, wanted: list[datetime]) -> list[tuple[Filled, ActiveRun]]:
    maker = _maker(service, store, row)
    taken = schedules.taken_names(store, maker.place, [slot_name(row["name"], slot) for slot in wanted])
    in_turn = maker.spec.get("overlap", "skip") != "allow"
    found: list[tuple[Filled, ActiveRun]] = []
    before = schedules.active_by_schedule(store).get((row["project"], row["environment"], owner_of(row["name"])), []) if in_turn else []
    for slot in wanted:
        run = maker.run(slot, now=service.clock.now(), follows=before, asked="backfill")
        fresh = run.name not in taken
        found.append((Filled(slot, run.name, run.uid, fresh), run))
        if fresh and in_turn:
            before = [run.name]
    return found


def _maker(service: Service, store: Store, row: Row) -> Maker:
    """Return what makes the runs of a schedule as it was last applied, on the present revision of its workflow. Raises RejectedError."""
    place, spec = Place(row["project"], row["environment"]), decode_json(row["spec"])
    known = workflows.known_workflows(store, place).get(spec["run"]["workflow"])
    if known is None:
        message = f"workflow {spec['run']['workflow']!r} of schedule {row['name']!r} is not deployed: `ty-openworkflow reconcile --once` deploys it"
        raise RejectedError(message)
    lineage = workflows.place_known(store, place)
    scope = lineage[0] if lineage is not None and lineage[0] else service.scope
    adapter, concurrency = str(known.facts.get("adapter", "exec")), int(known.facts.get("concurrency", 0) or 0)
    return Maker(place, row["name"], spec, scope, known.revision, adapter, concurrency, True, source_from(row["source"]))


def _ask(service: Service, store: Store, run: ActiveRun, *, now: datetime) -> bool:
    run, card = with_card(run, service.clerk.board)
    if not runs.insert_run(store, run, "", now=now):
        return False
    cards.intend(store, [] if card is None else [card], frozenset(), now=now)
    events.add_event(store, run.place, f"run/{run.name}", "asked-for", f"incarnation {run.incarnation}", now=now)
    return True


def _request(store: Store, row: Row, verb: str, data: Json, *, now: datetime) -> None:
    place = Place(row["project"], row["environment"])
    requests.add_request(store, place, f"schedule/{row['name']}", verb, data, person(), now=now)


def find_schedule(service: Service, name: str) -> Row:
    """Return the row of a schedule. Raises RejectedError if there is none, or more than one."""
    with service.reading() as store:
        rows = [] if store is None else schedules.list_schedules(store, project=service.project, environment=service.environment)
    found = [row for row in rows if row["name"] == name]
    if not found:
        message = f"there is no schedule {name!r} here: `ty-openworkflow list schedules` shows the names"
        raise RejectedError(message)
    if len(found) > 1:
        places = ", ".join(f"{row['project']}/{row['environment']}" for row in found)
        message = f"schedule {name!r} is in {places}: say which with --project and --env"
        raise RejectedError(message)
    return found[0]


def instant_option(name: str, text: str, zone: str, *, end_by: datetime | None = None) -> datetime:
    """Read an instant given as an option; one without an offset is by the clock of the zone.

    A day means its begin; with `end_by` its last instant, or that one on a day that is not over.

    Raises UsageError.
    """
    try:
        given = datetime.fromisoformat(text)
        instant = (given if given.tzinfo is not None else given.replace(tzinfo=zone_of(zone))).astimezone(UTC)
        if end_by is None or instant > end_by or not _DAY.fullmatch(text):
            return instant
        midnight = (given + timedelta(days=1)).replace(tzinfo=zone_of(zone)).astimezone(UTC)
        return min(midnight - timedelta(milliseconds=1), end_by)
    except (ValueError, OverflowError, ZoneError) as error:
        message = f"{name} {text}: write an instant such as 2026-11-22, 2026-11-22T02:30 (in {zone}) or 2026-11-22T01:30:00Z"
        raise UsageError(message) from error
