"""What a pass may do, and what a plan tells about it."""

from collections.abc import Mapping

from reconciler.card import LINK, Card, Says
from reconciler.compute import Revision
from reconciler.digest import Json
from reconciler.model import Place, Schedule, Source, Status, Workflow
from reconciler.recorded import ActiveRun, Asked
from reconciler.values import frozen


@frozen
class Deploy:
    """Make a workflow's revision ready and remember it. `verb` is `create`, `update` or `heal`."""

    workflow: Workflow
    revision: Revision
    verb: str
    reason: str
    before: str = ""
    ready: bool = False


@frozen
class RemoveWorkflow:
    """Forget a workflow that is no longer declared."""

    name: str
    revision: str
    reason: str
    source: Source


@frozen
class Arm:
    """Remember a schedule as it is declared. `verb` is `create`, `update`, `suspend` or `resume`; `skipped` counts slots that are over by it."""

    place: Place
    owner: str
    schedule: Schedule
    verb: str
    reason: str
    since: str
    next_at: str
    suspended: bool
    skipped: Mapping[str, int]


@frozen
class Advance:
    """Remember that the slots of a schedule up to `since` are over, if those up to `before` still are the last that were.

    The runs of the plan that are of these slots are asked for only then. `skipped` counts slots that made no run by reason, `told` says why.
    """

    place: Place
    name: str
    before: str
    since: str
    next_at: str
    last_slot: str
    skipped: Mapping[str, int]
    told: tuple[tuple[str, str], ...]
    source: Source


@frozen
class Disarm:
    """Forget a schedule that is no longer declared; its runs end by themselves."""

    place: Place
    name: str
    reason: str
    source: Source


@frozen
class Start:
    """Remember that a run (an incarnation of it) was asked for; `run` has no claim yet."""

    run: ActiveRun
    rerun: str
    reason: str


@frozen
class Assume:
    """Remember that a run has been carried out, because a person says so: nothing here proves it."""

    run: ActiveRun
    revision: Revision


@frozen
class Claim:
    """Hand a run to a worker under a claim. `cause` is `start`, `wake`, `message`, `takeover`, `resume`, `again` or `clean-up`."""

    run: ActiveRun
    claim: int
    cause: str
    reason: str
    alone: bool = False


@frozen
class Edit:
    """Apply what may change after a run was asked for. `changes` has columns of the table of runs, `revision` is the one that it names."""

    uid: str
    name: str
    changes: Mapping[str, Json]
    reason: str
    source: Source
    revision: Revision | None = None


@frozen
class Send:
    """Put a message into the inbox of a run: remembered first, and delivered once there is an inbox (`deliver`)."""

    run: ActiveRun
    id: str
    message: Mapping[str, Json]
    reason: str
    deliver: bool


@frozen
class Fulfil:
    """Remember that a request is done (what it asked for is in the same plan), or holds no more."""

    request: int
    outcome: str = "done"


@frozen
class Cancel:
    """Tell a living worker to cancel its run, with the message that goes into the inbox."""

    run: ActiveRun
    reason: str
    sent: bool = False


@frozen
class Kill:
    """Kill the worker of a run that did not end by itself in its time."""

    run: ActiveRun
    reason: str


@frozen
class End:
    """Write the end of a run that no worker holds."""

    run: ActiveRun
    status: Status
    reason: str
    message: str
    error: Json = None


@frozen
class Postpone:
    """Remember why a run does not go on now, and until when."""

    run: ActiveRun
    reason: str
    message: str
    seconds: float | None = None


@frozen
class OpenCard:
    """Decide that something has a card in TaskYou, or is linked to one that is there (`number`). `again`: it may have one already."""

    place: Place
    object: str
    kind: str
    uid: str
    tag: str
    database: str
    spec: Mapping[str, Json]
    source: Source
    number: int | None = None
    again: bool = False


@frozen
class WriteCard:
    """Make or write a card in TaskYou, once the pass is over: it shall say `says`."""

    card: Card
    says: Says
    source: Source = Source("", 0)


@frozen
class EndWait:
    """Remember that nobody waits any more for what the card `tag` asks of a person, and why."""

    tag: str
    why: str


Action = (
    OpenCard
    | WriteCard
    | EndWait
    | Deploy
    | RemoveWorkflow
    | Arm
    | Advance
    | Disarm
    | Start
    | Assume
    | Claim
    | Edit
    | Send
    | Fulfil
    | Cancel
    | Kill
    | End
    | Postpone
)


@frozen
class Notice:
    """Something that a pass would not do, and why: shown beside the plan, never as a part of it. Without `place` it is the plan's own."""

    object: str
    reason: str
    message: str
    source: Source = Source("", 0)
    place: Place | None = None


@frozen
class Change:
    """One line of a plan, as text and JSON show it."""

    symbol: str
    kind: str
    name: str
    action: str
    reason: str
    source: Source
    before: Json = None
    after: Json = None


_ENDS = {Status.CANCELED: "cancel", Status.FAILED: "fail", Status.SKIPPED: "skip"}


@frozen
class Plan:
    """What a pass would do now: empty means that everything is as declared. A plan that another process carried out has its changes as `told`."""

    actions: tuple[Action, ...] = ()
    rejected: tuple[Notice, ...] = ()
    held: tuple[Notice, ...] = ()
    drift: tuple[Notice, ...] = ()
    unchanged: int = 0
    asked: tuple[Asked, ...] = ()
    told: tuple[Change, ...] | None = None

    @property
    def changes(self) -> list[Change]:
        """Return what a person is shown: one line an object, bookkeeping left out."""
        if self.told is not None:
            return list(self.told)
        started = {action.run.uid for action in self.actions if isinstance(action, Start)}
        ending = {action.run.uid for action in self.actions if isinstance(action, Cancel | End)}
        waits = {action.run.uid: action.message for action in self.actions if isinstance(action, Postpone)}
        lines = []
        for action in self.actions:
            if isinstance(action, Start) and action.run.uid in waits:
                lines.append(
                    Change(
                        "+", "run", action.run.name, "wait", waits[action.run.uid], action.run.source, None, {"incarnation": action.run.incarnation}
                    )
                )
                continue
            if isinstance(action, Claim) and action.run.uid in started:
                continue
            if isinstance(action, Edit) and action.uid in ending and set(action.changes) == {"cancel"}:
                continue
            change = change_of(action)
            if change is not None:
                lines.append(change)
        return lines


def change_of(action: Action) -> Change | None:
    """Say what an action changes; None for bookkeeping."""
    match action:
        case Deploy(workflow, revision, verb, reason, before):
            symbol = {"create": "+", "update": "~", "heal": "~"}[verb]
            name = {"create": "deploy", "update": "update", "heal": "heal"}[verb]
            return Change(symbol, "workflow", workflow.name, name, reason, workflow.source, before or None, revision.digest)
        case RemoveWorkflow(name, revision, reason, source):
            return Change("-", "workflow", name, "remove", reason, source, revision, None)
        case Arm() | Advance() | Disarm() | OpenCard() | WriteCard():
            return _change_beside_runs(action)
        case Start(run, _, reason):
            return Change("+", "run", run.name, "start", reason, run.source, None, {"incarnation": run.incarnation, "revision": run.revision.digest})
        case Assume(run):
            return Change("=", "run", run.name, "assume done", "a person says that it has run", run.source, None, {"incarnation": run.incarnation})
        case Claim(run, claim, cause, reason):
            return Change(">", "run", run.name, cause, reason, run.source, {"claim": run.claim}, {"claim": claim})
        case Edit(_, name, changes, reason, source):
            return Change("~", "run", name, "edit", reason, source, None, {key: value for key, value in changes.items() if key != "facts"})
        case Cancel(run, reason):
            return Change(">", "run", run.name, "cancel", reason, run.source, run.status.value, "canceled")
        case Kill(run, reason):
            return Change(">", "run", run.name, "kill", reason, run.source, run.status.value, None)
        case End(run, status, _, message):
            return Change(">", "run", run.name, _ENDS.get(status, "end"), message, run.source, run.status.value, status.value)
        case Send(run, _, message, reason):
            what = f"signal {message['name']}" if message["type"] == "signal" else "tell"
            return Change(">", "run", run.name, what, reason, run.source, None, None)
        case Postpone() | Fulfil() | EndWait():
            return None


def _change_beside_runs(action: Arm | Advance | Disarm | OpenCard | WriteCard) -> Change | None:
    return _change_of_card(action) if isinstance(action, OpenCard | WriteCard) else _change_of_schedule(action)


def _change_of_card(action: OpenCard | WriteCard) -> Change | None:
    match action:
        case OpenCard(_, about, kind, _, _, _, spec, source, number, again):
            if again:
                return None  # it may go on with the card that it has; the pass that writes it tells
            if kind == LINK:
                return Change("+", "task", about, "link", f"to task #{number}", source, None, {"task": number})
            return Change("+", "task", about, "create", f"{spec['title']!r}", source, None, {"title": spec["title"]})
        case WriteCard(card, says, source):
            if card.id is None:
                return Change("+", "task", card.object, "create", f"{says.title!r}", source, None, {"title": says.title})
            before = str(card.wrote.get("status", ""))
            what = "move" if before != says.status else "write"
            return Change("~", "task", card.object, what, f"task #{card.id}: {says.status}", source, before or None, says.status)


def _change_of_schedule(action: Arm | Advance | Disarm) -> Change | None:
    match action:
        case Arm(_, _, schedule, verb, reason, _, next_at):
            symbol = "+" if verb == "create" else "~"
            return Change(symbol, "schedule", schedule.name, verb, reason, schedule.source, None, next_at or None)
        case Advance(_, name, before, since, _, _, skipped, told, source):
            return Change(">", "schedule", name, "skip", "; ".join(message for _, message in told), source, before, since) if skipped else None
        case Disarm(_, name, reason, source):
            return Change("-", "schedule", name, "remove", reason, source)
