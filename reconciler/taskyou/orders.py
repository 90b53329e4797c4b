"""Orders to TaskYou: bring one card to what it shall say. Each may be carried out twice, or broken off anywhere, without harm.

A card is found by its tag before another one is made. Each field is merged three ways: what we last wrote, what it shall be, what is there. What a
person changed stays as it is.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from reconciler.card import ARCHIVED, BACKLOG, BLOCKED, CLOSED, Says, text_digest
from reconciler.digest import Json
from reconciler.taskyou.client import TaskYou
from reconciler.taskyou.errors import GoneError, RefusedError, TaskYouError, UnclearError
from reconciler.taskyou.tasks import Listed, Task
from reconciler.taskyou.text import body_of, title_of
from reconciler.values import frozen, made, mutable, replace

MayMove = Callable[[str, Mapping[str, Json], str], bool]
_CLOCKS = timedelta(seconds=2)  # between two looks at the same clock, one of which is cut to seconds


@frozen
class Order:
    """One card and what it shall say. `tags` has its own tag first, then that of its place; `ours` are digests of texts that are surely ours.

    `id` is None until the card is known to be there. `wrote` is what we last wrote, with columns in `moving` and pins in `pinning` that an earlier try may
    have brought about. `adopts`: only one that is there is written, none is made. `since`: an earlier try may have made it after that, so that it is
    looked for in the trash too.
    """

    tags: Sequence[str]
    id: int | None
    says: Says
    project: str
    type: str
    wrote: Mapping[str, Json]
    ours: frozenset[str]
    blocks: Sequence[int] = ()
    adopts: bool = False
    since: datetime | None = None


@mutable
class Outcome:
    """What came of an order: the card's number, what we wrote, and where it was seen. `gone`: a person has removed it. `notes` are for people.

    `error` is what it broke off with, after that.
    """

    id: int | None
    wrote: dict[str, Json]
    seen: str = ""
    created: bool = False
    gone: bool = False
    notes: list[str] = made(default_factory=list)
    error: TaskYouError | None = None

    @property
    def is_unclear(self) -> bool:
        """Say whether the call that it broke off with may have taken effect."""
        return isinstance(self.error, UnclearError)


def carry_out(taskyou: TaskYou, order: Order, may_move: MayMove) -> Outcome:
    """Make or write a card, as far as that goes. Raises TaskYouError if not even a look at it was possible: then nothing was written."""
    order = _cleaned(order)
    listed = _find(taskyou, order)
    if listed is None:
        trashed = _in_trash(taskyou, order) if order.id is None else order.id
        if trashed is not None or order.adopts:
            return Outcome(trashed, dict(order.wrote), gone=True)
        done, carry_on = Outcome(None, {"status": BACKLOG, **order.wrote}), _create
    else:
        done, carry_on = _found(order, listed), _write
    try:
        carry_on(taskyou, order, done, may_move)
    except TaskYouError as error:
        done.error = error
    return done


def _found(order: Order, listed: Listed) -> Outcome:
    """Return what is known of a card before it is written: in which column it is may be the doing of a try that nobody has recorded, like all of it."""
    done = Outcome(listed.id, {"status": BACKLOG, **order.wrote}, seen=listed.status, created=order.id is None)
    if listed.status in _open(done.wrote.pop("moving", None)):
        done.wrote["status"] = listed.status
    return done


def _open(tried: Json) -> Sequence[Json]:
    return tried if isinstance(tried, list) else ()


def _write(taskyou: TaskYou, order: Order, done: Outcome, may_move: MayMove) -> None:
    assert done.id is not None
    _block(taskyou, order, done)
    task = taskyou.show(done.id)
    done.seen = task.status
    _write_text(taskyou, order, task, done)
    _move(taskyou, order, done.seen, done, may_move)


def _cleaned(order: Order) -> Order:
    """Return an order whose texts TaskYou takes as they are."""
    return replace(order, says=replace(order.says, title=title_of(order.says.title, otherwise=order.tags[0]), body=body_of(order.says.body)))


def _find(taskyou: TaskYou, order: Order) -> Listed | None:
    """Return the card of an order; of several (a tag that was copied) the one that we know, else the oldest.

    One that a person moved to another project has another number than before.
    """
    found = taskyou.find(order.tags[0])
    return next((one for one in found if one.id == order.id), min(found, key=lambda one: one.id, default=None))


def _in_trash(taskyou: TaskYou, order: Order) -> int | None:
    """Return the card that an earlier try has made and a person has put into the trash since: the trash shows no tags, so it is known by what it says."""
    if order.since is None:
        return None
    for number in taskyou.trashed(order.says.title):
        try:
            task = taskyou.show(number)
        except GoneError:
            continue  # purged meanwhile
        old = task.created_at is not None and task.created_at < order.since - _CLOCKS
        if not old and task.title == order.says.title and task.body.partition("\n")[0] == order.says.body.partition("\n")[0]:
            return number
    return None


def _create(taskyou: TaskYou, order: Order, done: Outcome, may_move: MayMove) -> None:
    want = order.says
    done.id = taskyou.create(title=want.title, body=want.body, project=order.project, type=order.type, tags=order.tags, pinned=want.pinned)
    done.wrote = {"title": text_digest(want.title), "body": text_digest(want.body), "status": BACKLOG, "pinned": want.pinned}
    done.seen, done.created = BACKLOG, True
    _block(taskyou, order, done)
    _move(taskyou, order, BACKLOG, done, may_move)


def _block(taskyou: TaskYou, order: Order, done: Outcome) -> None:
    """Let tasks wait for the card, the edge first: only such as never started, since nothing holds an agent that is at work.

    Also where the run has ended meanwhile: they are let go when its card is closed, which comes after this.
    """
    before = done.wrote.get("blocks", [])
    left = [number for number in order.blocks if number not in before]
    if not left or done.seen in CLOSED or done.id is None:
        return
    holding = taskyou.dependencies(done.id).blocks
    for number in left:
        try:
            task = taskyou.show(number)
            if task.started_at or task.status not in (BACKLOG, BLOCKED):
                done.notes.append(
                    f"task #{number} is {task.status}{' and has been started' if task.started_at else ''}: it does not wait for this run"
                )
            else:
                if number not in holding:
                    taskyou.block(number, by=done.id, auto_queue=True)
                if task.status != BLOCKED:
                    taskyou.move(number, BLOCKED)
        except (GoneError, RefusedError) as error:
            done.notes.append(f"task #{number} does not wait for this run: {error}")
        before = [*before, number]
        done.wrote["blocks"] = before


def _write_text(taskyou: TaskYou, order: Order, task: Task, done: Outcome) -> None:
    """Write title and body where they are others than wanted, and still as we left them."""
    changes: dict[str, str] = {}
    for name, wanted, there in (("title", order.says.title, task.title), ("body", order.says.body, task.body)):
        if there == wanted:
            done.wrote[name] = text_digest(wanted)
        elif text_digest(there) in order.ours or text_digest(there) == done.wrote.get(name):
            changes[name] = wanted
    if changes:
        taskyou.update(task.id, **changes)
        done.wrote |= {name: text_digest(text) for name, text in changes.items()}


def _move(taskyou: TaskYou, order: Order, theirs: str, done: Outcome, may_move: MayMove) -> None:
    """Pin and move a card, where it is ours to do so; the pin first, so that a card that calls for a person does it at once."""
    wanted, pinned = order.says.status, order.says.pinned
    if theirs in CLOSED and done.wrote.get("status") not in CLOSED:
        return  # a person has closed it
    if wanted == ARCHIVED and theirs != ARCHIVED and done.id is not None and taskyou.dependencies(done.id).blocks:
        wanted = BACKLOG  # archived would let go of the tasks that wait for it
    if wanted == BLOCKED and theirs != BLOCKED and not _may_be_blocked(taskyou, order, done):
        wanted, pinned = BACKLOG, True
    unsure = (not pinned) in _open(done.wrote.get("pinning"))
    if (unsure or done.wrote.get("pinned", False) != pinned) and done.id is not None:
        taskyou.pin(done.id, on=pinned)
        done.wrote["pinned"] = pinned
    done.wrote.pop("pinning", None)
    if may_move(theirs, done.wrote, wanted) and done.id is not None:
        done.seen = taskyou.show(done.id).status  # other calls take long where hooks are awaited, and a person may have acted meanwhile
        if may_move(done.seen, done.wrote, wanted):
            taskyou.move(done.id, wanted)
            done.seen = wanted
    if done.seen == wanted:
        done.wrote["status"] = wanted
    if wanted != order.says.status:
        done.wrote["instead_of"] = order.says.status
    else:
        done.wrote.pop("instead_of", None)


def _may_be_blocked(taskyou: TaskYou, order: Order, done: Outcome) -> bool:
    """Say whether nothing starts an agent on the card once it is blocked: in a project without worktrees opening it does, and blockers that are done do."""
    if done.id is None:
        return False
    return taskyou.worktrees(order.project) and not taskyou.dependencies(done.id).blocked_by
