"""Collecting: of runs that ended long ago only their tombstones stay, as `keep` of their workflow or schedule says. Without `keep` everything stays."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from reconciler import tombstones
from reconciler.compute import Adapter
from reconciler.digest import Json
from reconciler.duration import parse_duration
from reconciler.journal import decode_json
from reconciler.model import Desired, Place
from reconciler.recorded import ActiveRun
from reconciler.state import Store, events, keeps, requests
from reconciler.values import frozen, mutable

_MOST = 100
_MOST_RULES = 50
_LOOKED_AT = 1000
_AGAIN = timedelta(seconds=1)
_BLOCKED = timedelta(minutes=1)
# Whoever waits for a run reads its end first.
_LEAST = timedelta(minutes=1)
_OUTCOMES = {"completed": ("completed",), "failed": ("failed",), "canceled": ("canceled", "skipped")}
Rows = list[dict[str, Json]]


@mutable
class Budget:
    """How many runs one pass may still collect."""

    left: int = _MOST


@frozen
class Spared:
    """Runs that others still need: results of children of unfinished parents, and memos of incarnations that begin."""

    parents: frozenset[str]
    memos: frozenset[str]
    adapters: frozenset[str]

    def has(self, row: Mapping[str, Json]) -> bool:
        """Say whether a run may not go yet."""
        parent = decode_json(row["origin"]).get("parent", {}).get("uid")
        return parent in self.parents or row["uid"] in self.memos or row["adapter"] not in self.adapters


def remember(store: Store, desired: Desired, *, now: datetime) -> None:
    """Take over what a folder says is kept; a workflow that is gone leaves its rule, since its runs stay."""
    wanted = {f"workflow/{name}": workflow.keep for name, workflow in desired.workflows.items() if workflow.keep}
    wanted |= {f"schedule/{name}": schedule.spec["keep"] for name, schedule in desired.schedules.items() if schedule.spec.get("keep")}
    known = keeps.rules_of(store, desired.place)
    if wanted == known:
        return
    changed = {about: keep for about, keep in wanted.items() if known.get(about) != keep}
    changed |= {about: {} for about in known.keys() - wanted.keys() if _declared(desired, about)}
    if changed:
        with store.transaction():
            for about, keep in changed.items():
                keeps.save_rule(store, desired.place, about, keep, now=now)


def _declared(desired: Desired, about: str) -> bool:
    kind, _, name = about.partition("/")
    return name in (desired.workflows if kind == "workflow" else desired.schedules)


def note_ends(store: Store, ended: Iterable[ActiveRun], *, now: datetime) -> None:
    """Have the rules looked at that these runs, which have just ended, fall under."""
    objects = {(run.place, about) for run in ended for about in _rules_for(run)}
    if objects and keeps.any_rules(store):
        known = {place: keeps.rules_of(store, place) for place, _ in objects}
        due = [(place, about) for place, about in objects if about in known[place]]
        if due:
            with store.transaction():
                for place, about in due:
                    keeps.set_due(store, place, about, now)


def _rules_for(run: ActiveRun) -> list[str]:
    schedule = run.origin.get("schedule", {}).get("name")
    return [f"workflow/{run.workflow}"] if schedule is None else [f"workflow/{run.workflow}", f"schedule/{schedule}"]


def collect(store: Store, adapters: Mapping[str, Adapter], active: Mapping[str, ActiveRun], *, now: datetime) -> datetime | None:
    """Collect what is due, a bounded number of runs at a time, and return when there is something to look at again.

    A tombstone is durable before anything is removed, and a run counts as collected after that: killed anywhere, it is done again.
    Raises UnavailableError where there is no room for tombstones.
    """
    due = keeps.next_due(store)
    if due is None or datetime.fromisoformat(due) > now:
        return None if due is None else datetime.fromisoformat(due)
    spared = _spared(store, adapters, active)
    budget = Budget()
    for rule in keeps.due_rules(store, _MOST_RULES, now=now):
        rows, again = _beyond(store, rule, spared, budget, now=now)
        _bury(store, adapters, rows, now=now)
        with store.transaction():
            keeps.set_due(store, rule.place, rule.object, again)
    due = keeps.next_due(store)
    return None if due is None else max(datetime.fromisoformat(due), now + _AGAIN)


def _spared(store: Store, adapters: Mapping[str, Adapter], active: Mapping[str, ActiveRun]) -> Spared:
    memos = {run.origin["memo_of"] for run in active.values() if "memo_of" in run.origin}
    memos |= {data.get("origin", {}).get("memo_of") for _, _, _, data in requests.open_requests(store, "rerun")}
    return Spared(frozenset(active), frozenset(memos - {None}), frozenset(adapters))


def _beyond(store: Store, rule: keeps.Rule, spared: Spared, budget: Budget, *, now: datetime) -> tuple[Rows, datetime | None]:
    """Return the runs that a rule no longer keeps, as many as this pass may collect, and when to look again."""
    found: Rows = []
    looks: list[datetime] = []
    for outcome, limit in rule.keep.items():
        statuses = _OUTCOMES[outcome]
        excess = keeps.count_ended(store, rule, statuses) - (limit if isinstance(limit, int) else 0)
        if excess <= 0:
            continue
        age = _LEAST if isinstance(limit, int) else max(_LEAST, parse_duration(limit))
        rows = keeps.oldest(store, rule, statuses, min(excess, _LOOKED_AT))
        over = [row for row in rows if datetime.fromisoformat(row["completed_at"]) + age <= now]
        free = [row for row in over if not spared.has(row)][: budget.left]
        found += free
        budget.left -= len(free)
        looks += _looks(rows, over, free, excess, age, now=now)
    return found, min(looks, default=None)


def _looks(rows: Sequence[Mapping[str, Json]], over: Rows, free: Rows, excess: int, age: timedelta, *, now: datetime) -> list[datetime]:
    """Return when what is left of these runs is worth a look."""
    if len(free) < len(over):
        return [now + (_AGAIN if free else _BLOCKED)]
    if len(over) < len(rows):
        return [datetime.fromisoformat(rows[len(over)]["completed_at"]) + age]
    return [now + _AGAIN] if excess > len(rows) else []


def _bury(store: Store, adapters: Mapping[str, Adapter], rows: Rows, *, now: datetime) -> None:
    if not rows:
        return
    tombstones.append(store.path.parent, [tombstones.tombstone_of(row, now=now) for row in rows])
    for row in rows:
        adapters[row["adapter"]].remove(row["uid"])
    counts: dict[tuple[Place, str], int] = {}
    for row in rows:
        key = (Place(row["project"], row["environment"]), f"workflow/{row['workflow']}")
        counts[key] = counts.get(key, 0) + 1
    with store.transaction():
        keeps.collected(store, rows, now=now)
        for (place, about), number in counts.items():
            events.add_event(store, place, about, "collected", f"{number} ended runs, as `keep` says", now=now)
