"""What is remembered of workflows and runs: the second of the three things that a plan is made of."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from reconciler.backoff import Pause, Tried
from reconciler.card import Card
from reconciler.compute import Revision
from reconciler.digest import Json
from reconciler.model import TERMINAL, Place, Source, Status
from reconciler.values import frozen, made

# The token of a rerun that the journal of an older program does not tell: whatever the manifest says counts as done.
UNKNOWN_TOKEN = "(unknown)"  # noqa: S105


class RunLine(NamedTuple):
    """The little that a plan needs of a run that has ended or whose manifest is as it was."""

    name: str
    uid: str
    incarnation: int
    owner: str
    workflow: str
    spec_hash: str
    rerun: str
    status: str
    suspend: int
    priority: int
    cancel: str | None
    claim: int
    revision: str
    source: str
    facts: str
    not_before: str | None
    due_at: str | None

    @property
    def ended(self) -> bool:
        """Say whether the run has come to an end."""
        return self.status in TERMINAL


@frozen
class ActiveRun:
    """A run that has not ended, with everything that carrying it on needs."""

    uid: str
    place: Place
    name: str
    incarnation: int
    owner: str
    workflow: str
    adapter: str
    spec_hash: str
    input: Json
    revision: Revision
    status: Status
    reason: str
    message: str
    claim: int
    confirmed: bool
    journal_size: int
    attempt: int
    deaths: int
    created_at: datetime
    facts: Mapping[str, Json] = made(default_factory=dict)
    suspend: bool = False
    priority: int = 0
    concurrency: int = 0
    cancel: str | None = None
    cancel_sent_at: datetime | None = None
    started_at: datetime | None = None
    due_at: datetime | None = None
    not_before: datetime | None = None
    source: Source = Source("", 0)
    deployed: bool = True
    origin: Mapping[str, Any] = made(default_factory=dict)
    suspended_by: str = ""
    rerun: str = ""


def pending_run(*, created_at: datetime, **facts: Any) -> ActiveRun:
    """Return a run that was only asked for: nobody has claimed it. `facts` are the fields of ActiveRun."""
    return ActiveRun(
        status=Status.PENDING, reason="", message="", claim=0, confirmed=False, journal_size=0, attempt=1, deaths=0, created_at=created_at, **facts
    )


@frozen
class KnownWorkflow:
    """A workflow that was deployed before."""

    name: str
    owner: str
    revision: Revision
    facts: Mapping[str, Json]
    source: Source


@frozen
class KnownSchedule:
    """A schedule as a pass last applied it.

    Slots up to `since` are over, `next_at` is the first one after it (empty: none is to come) and `last_slot` the last one that made a run (empty:
    none); these are instants as tables carry them.
    """

    name: str
    owner: str
    spec: Mapping[str, Json]
    labels: Mapping[str, str]
    source: Source
    suspended: bool
    since: str
    next_at: str
    last_slot: str


@frozen
class Message:
    """One message to a run, and whether it is in its inbox."""

    id: str
    message: Mapping[str, Any]
    delivered: bool


@frozen
class ChildRun:
    """The latest incarnation of a run that another one has asked for."""

    uid: str
    name: str
    incarnation: int
    workflow: str
    status: str
    origin: Mapping[str, Any]
    output: Json = None
    error: Json = None
    reason: str = ""

    @property
    def ended(self) -> bool:
        """Say whether the run has come to an end."""
        return self.status in TERMINAL


@frozen
class Family:
    """What answers the requests of runs to others.

    `children` are by (parent's uid, key), `targets` the latest incarnations of runs that signals are sent to, by place and name; `workflows` are those
    that are asked for, by place and name. `refusals` say why a request cannot be granted, by (uid, key). `parents` are the statuses of parents that
    have ended, by uid.
    """

    children: Mapping[tuple[str, str], ChildRun] = made(default_factory=dict)
    targets: Mapping[tuple[Place, str], ChildRun] = made(default_factory=dict)
    workflows: Mapping[tuple[Place, str], KnownWorkflow] = made(default_factory=dict)
    refusals: Mapping[tuple[str, str], str] = made(default_factory=dict)
    parents: Mapping[str, str] = made(default_factory=dict)


@frozen
class Rerun:
    """A request to run something again, with everything that the next incarnation is made of."""

    id: int
    place: Place
    name: str
    data: Mapping[str, Any]
    latest: RunLine
    revision: Revision | None = None


@frozen
class KnownPlace:
    """A place that a pass has worked on: the folder that holds it, the branches that the last pass may have been on, and why it is held."""

    place: Place
    lineage: str
    folder: str
    branches: frozenset[str] = frozenset()
    held: str = ""


@frozen
class Override:
    """What a person asked of an object by command: it holds until the manifest's own field is no longer `declared`."""

    suspend: bool
    declared: bool
    who: str
    why: str
    at: datetime
    id: int = 0


@frozen
class Asked:
    """A request by command that is not done, or still holds: `declared` is what the manifest's own field said when it was made."""

    id: int
    place: Place
    object: str
    verb: str
    who: str
    at: datetime
    why: str = ""
    declared: bool = False
    uid: str = ""


def overrides_of(asked: Iterable[Asked]) -> dict[tuple[Place, str], Override]:
    """Return which objects are suspended or resumed by command: the latest request about each one."""
    return {
        (one.place, one.object): Override(one.verb == "suspend", one.declared, one.who, one.why, one.at, one.id)
        for one in asked
        if one.verb in ("suspend", "resume")
    }


@frozen
class Recorded:
    """What SQLite remembers: of one place everything, of other places the runs that have not ended.

    `cards` are those in TaskYou that do not say yet what they shall, by tag; `approvals` the tags of those that were asked for and are waited for.
    """

    workflows: Mapping[str, KnownWorkflow] = made(default_factory=dict)
    runs: Mapping[str, RunLine] = made(default_factory=dict)
    active: Mapping[str, ActiveRun] = made(default_factory=dict)
    known: bool = True
    scope: str = ""
    messages: Mapping[str, Mapping[str, Message]] = made(default_factory=dict)
    family: Family = made(default_factory=Family)
    reruns: tuple[Rerun, ...] = ()
    overrides: Mapping[tuple[Place, str], Override] = made(default_factory=dict)
    schedules: Mapping[str, KnownSchedule] = made(default_factory=dict)
    tried: Mapping[tuple[Place, str], Tried] = made(default_factory=dict)
    pauses: Mapping[str, Pause] = made(default_factory=dict)
    asked: tuple[Asked, ...] = ()
    cards: Mapping[str, Card] = made(default_factory=dict)
    approvals: frozenset[str] = frozenset()

    def suspended(self, place: Place, about: str, *, declared: bool) -> bool:
        """Say whether an object (`kind/name`) is suspended: by command, or as its manifest declares."""
        override = self.overrides.get((place, about))
        return declared if override is None or override.declared != declared else override.suspend
