"""Cards in TaskYou: which runs, schedules and waits have one, and what each shall say. What is done about it is done when the pass is over."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from reconciler.actions import Action, Arm, EndWait, OpenCard, Start, WriteCard
from reconciler.card import AGENTS, APPROVAL, CLOSED, LINK, RUN, SCHEDULE, Board, Card, Says, approval_tag, tag_of
from reconciler.compute import Gone, LetGo, Live, Observation, OpenApproval, Unclaimed
from reconciler.digest import Json, uid_of
from reconciler.instants import stamp
from reconciler.plan.cardtext import says
from reconciler.recorded import ActiveRun, Recorded
from reconciler.values import replace

# A card whose column stays is written again only after this long: what happens in between is gathered.
QUIET = timedelta(seconds=10)


def with_cards(actions: Sequence[Action], recorded: Recorded, board: Board | None) -> list[Action]:
    """Return actions with a card for each run and schedule that shall have one. A run says so in its origin, which outlives this database."""
    found: list[Action] = []
    for action in actions if board is not None else ():
        if isinstance(action, Start):
            run, card = with_card(action.run, board)  # type: ignore[arg-type]
            found += [replace(action, run=run), *([] if card is None else [card])]
        elif isinstance(action, Arm) and action.verb == "create":
            found += [action, *_card_of_schedule(action, recorded.scope, board)]  # type: ignore[arg-type]
        else:
            found.append(action)
    return found if board is not None else list(actions)


def with_card(run: ActiveRun, board: Board) -> tuple[ActiveRun, OpenCard | None]:
    """Return a run that was not asked for yet, and its card if it shall have one."""
    card = card_of(run, board)
    if card is None:
        return run, None
    told = {"tag": card.tag, "kind": card.kind, "database": card.database, "id": card.number, "spec": dict(card.spec)}
    return replace(run, origin={**run.origin, "card": told}), card


def decide_cards(
    active: Mapping[str, ActiveRun], recorded: Recorded, seen: Mapping[str, Observation], board: Board | None, *, now: datetime
) -> list[Action]:
    """Return what is to be decided of approvals, and written of cards."""
    if board is None:
        return []
    return [*_approvals(active, recorded, seen, board, now=now), *due_cards(recorded.cards.values(), board, now=now)]


def card_of(run: ActiveRun, board: Board) -> OpenCard | None:
    """Decide whether an incarnation of a run has a card; children have none, and slots only where their schedule says `task: true`."""
    task = run.facts.get("task")
    explicit = task is True or isinstance(task, dict)
    if task is False or not (explicit or (board.auto and board.present and not run.origin.keys() & {"parent", "schedule"})):
        return None
    given: Mapping[str, Any] = task if isinstance(task, dict) else {}
    about = f"run/{run.name}"
    number = given.get("id")
    if number is not None:
        return OpenCard(run.place, about, LINK, run.uid, f"link-{run.uid}", board.database, {"title": ""}, run.source, number)
    spec = {
        "title": given.get("title") or f"{run.workflow}: {run.name}",
        "project": given.get("project") or "",
        "type": given.get("type") or "code",
        "tags": list(given.get("tags", ())),
        "blocks": list(given.get("blocks", ())),
        "explicit": explicit,
    }
    return OpenCard(run.place, about, RUN, run.uid, tag_of(run.uid), board.database, spec, run.source, again=run.incarnation > 1)


def _card_of_schedule(action: Arm, scope: str, board: Board) -> list[OpenCard]:
    """A schedule has one card, unless its runs shall have none."""
    if not (board.auto and board.present) or action.schedule.spec["run"].get("task") is False:
        return []
    uid = uid_of(scope, action.place.project, action.place.environment, f"schedule/{action.schedule.name}", 1)
    spec = {"title": f"Schedule {action.schedule.name}", "project": "", "type": "code", "tags": [], "blocks": [], "explicit": False}
    about = f"schedule/{action.schedule.name}"
    return [OpenCard(action.place, about, SCHEDULE, uid, tag_of(uid), board.database, spec, action.schedule.source)]


def _approvals(active: Mapping[str, ActiveRun], recorded: Recorded, seen: Mapping[str, Observation], board: Board, *, now: datetime) -> list[Action]:
    """Ask for the cards of approvals that runs wait for, and end those that nobody waits for any more."""
    found: list[Action] = []
    waited_for: dict[str, set[str]] = {}
    for uid, run in active.items():
        look = seen.get(uid)
        if not isinstance(look, Live | LetGo | Gone | Unclaimed):
            continue
        open_ones = {} if run.cancel is not None else {approval_tag(uid, one.key, one.attempt): one for one in look.seen.approvals}
        waited_for[uid] = set(open_ones)
        for tag, one in open_ones.items():
            if board.present and tag not in recorded.approvals and _may_ask(run, board):
                found.append(_card_of_approval(run, tag, one, board))
    over = [
        EndWait(card.tag, _why_over(active.get(card.uid), card, now=now))
        for card in recorded.cards.values()
        if card.kind == APPROVAL and card.extra == "" and card.tag not in waited_for.get(card.uid, {card.tag})
    ]
    return [*found, *over]


def _may_ask(run: ActiveRun, board: Board) -> bool:
    """Say whether a run may ask on the board: where runs have cards by themselves, or this one does."""
    return run.facts.get("task") is not False and (board.auto or "card" in run.origin)


def _why_over(run: ActiveRun | None, card: Card, *, now: datetime) -> str:
    """Say why nobody waits for an approval any more."""
    if run is None or run.cancel is not None:
        return "over: the run was canceled"
    until = card.spec.get("until_at")
    if until is not None and datetime.fromisoformat(until) <= now:
        return "over: the time for it was over"
    return "over: it was answered by a signal, or the run went on without it"


def _card_of_approval(run: ActiveRun, tag: str, approval: OpenApproval, board: Board) -> OpenCard:
    task = run.facts.get("task")
    project = task.get("project") if isinstance(task, dict) else None
    spec: dict[str, Json] = {
        "title": approval.title,
        "description": approval.description,
        "signal": approval.signal,
        "key": approval.key,
        "attempt": approval.attempt,
        "run": run.name,
        "until_at": None if approval.until is None else stamp(approval.until),
        "until": None if approval.until is None else f"{approval.until:%Y-%m-%d %H:%M} UTC",
        "project": project or "",
        "type": "code",
        "tags": [],
        "blocks": [],
        "explicit": True,
    }
    return OpenCard(run.place, f"approval/{tag}", APPROVAL, run.uid, tag, board.database, spec, run.source)


def due_cards(cards: Iterable[Card], board: Board, *, now: datetime) -> Iterable[WriteCard]:
    """Return the cards that are to be written now."""
    for card in cards:
        if card.basis == card.now or (card.next_at is not None and now < card.next_at):
            continue
        wanted = says(card, board)
        if not _is_quiet(card, wanted, now=now):
            yield WriteCard(card, wanted)


def quiet_until(cards: Iterable[Card], board: Board, *, now: datetime) -> Sequence[datetime]:
    """Return when cards whose text is written later are due."""
    return [
        card.written_at + QUIET
        for card in cards
        if card.written_at is not None and card.basis != card.now and _is_quiet(card, says(card, board), now=now)
    ]


def _is_quiet(card: Card, wanted: Says, *, now: datetime) -> bool:
    """Say whether a card was written a moment ago and only its text would change."""
    if card.id is None or card.written_at is None or card.over or now >= card.written_at + QUIET:
        return False
    return "instead_of" not in card.wrote and (card.wrote.get("status"), card.wrote.get("pinned")) == (wanted.status, wanted.pinned)


def is_closed_by_a_person(status: str, wrote: Mapping[str, Any]) -> bool:
    """Say whether a card that is in `status` was closed, and not by us."""
    return status in CLOSED and wrote.get("status") not in CLOSED


def may_move(theirs: str, wrote: Mapping[str, Any], wanted: str) -> bool:
    """Say whether a card that is in column `theirs` may be moved to `wanted`.

    A card is ours to move while it is where we put it. A person may have moved it between the open columns: then only news move it. What a person has
    closed stays closed, and what an agent has is left to it.
    """
    ours = wrote.get("status", "backlog")
    if theirs == wanted or theirs in AGENTS:
        return False
    return theirs == ours or (theirs not in CLOSED and wanted != ours)
