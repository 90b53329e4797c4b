"""What a person approves: the digest of what a plan would make of the manifests, held prunes included."""

from reconciler.actions import Action, Advance, Cancel, Claim, End, Fulfil, Kill, Plan, Postpone, Send, Start, change_of
from reconciler.digest import digest_of
from reconciler.errors import StalePlanError
from reconciler.model import Place
from reconciler.plan.prune import FOR_APPROVAL

SHORT = 16
_LEAST = 12
# What goes on by itself, at its own times, is no part of what is approved.
_BY_ITSELF = (Advance, Cancel, Claim, End, Fulfil, Kill, Postpone, Send)


def held_objects(plan: Plan) -> frozenset[str]:
    """Return the objects whose prune waits for approval."""
    return frozenset(notice.object for notice in plan.held if notice.reason in FOR_APPROVAL)


def digest_of_plan(place: Place, plan: Plan) -> str:
    """Return what stands for what would be made of the manifests, and where: the same for the same, whenever it is computed."""
    changes = [change_of(action) for action in plan.actions if not _goes_by_itself(action)]
    made = [[change.kind, change.name, change.action, change.before, change.after] for change in changes if change is not None]
    return digest_of([place.project, place.environment, made, sorted(held_objects(plan))])


def _goes_by_itself(action: Action) -> bool:
    """Say whether an action comes from the time, or from a run, and not from the manifests."""
    return isinstance(action, _BY_ITSELF) or (isinstance(action, Start) and bool(action.run.origin.keys() & {"schedule", "parent"}))


def approved_objects(place: Place, plan: Plan, digest: str) -> frozenset[str]:
    """Return the objects that a digest approves; nothing where nothing is held. Raises StalePlanError for the digest of another plan."""
    named = held_objects(plan)
    if not digest or not named:
        return frozenset()
    now = digest_of_plan(place, plan)
    if len(digest) >= _LEAST and now.startswith(digest.lower()):
        return named
    held = ", ".join(sorted(named)[:5]) + (f" and {len(named) - 5} more" if len(named) > 5 else "")
    message = f"--approve {digest}: the plan of {place.project}/{place.environment} is another one now, {now[:SHORT]}, and holds {held}; look at it, and approve that"
    raise StalePlanError(message)
