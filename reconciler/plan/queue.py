"""Who goes first when there is not room for all."""

from collections import Counter
from collections.abc import Mapping, Sequence

from reconciler.actions import Action, Claim, Postpone
from reconciler.compute import Live, Observation, Unclaimed
from reconciler.recorded import ActiveRun
from reconciler.values import frozen, made

WAITING = "concurrency"


@frozen
class Limits:
    """How many runs may hold a worker: in all and for each adapter, 0 without limit; and when a crashing run is given up."""

    concurrency: int = 0
    adapters: Mapping[str, int] = made(default_factory=dict)
    crash_limit: int = 3


def admit(
    claims: Sequence[Claim], active: Mapping[str, ActiveRun], seen: Mapping[str, Observation], limits: Limits
) -> tuple[list[Claim], list[Action]]:
    """Return the claims that have room, higher priority and then the older run first, and a note on each of the others."""
    in_all = 0
    by_adapter: Counter[str] = Counter()
    by_workflow: Counter[tuple[str, str, str]] = Counter()
    for run in active.values():
        observation = seen.get(run.uid)
        if isinstance(observation, Live) or (isinstance(observation, Unclaimed) and observation.ordered):
            in_all += 1
            by_adapter[run.adapter] += 1
            by_workflow[_workflow(run)] += 1
    admitted: list[Claim] = []
    waiting: list[Action] = []
    for claim in sorted(claims, key=lambda claim: (-claim.run.priority, claim.run.created_at, claim.run.name)):
        run = claim.run
        full = (
            (limits.concurrency and in_all >= limits.concurrency)
            or (limits.adapters.get(run.adapter) and by_adapter[run.adapter] >= limits.adapters[run.adapter])
            or (run.concurrency and by_workflow[_workflow(run)] >= run.concurrency)
        )
        if not full:
            in_all += 1
            by_adapter[run.adapter] += 1
            by_workflow[_workflow(run)] += 1
            admitted.append(claim)
        elif run.reason != WAITING:
            waiting.append(Postpone(run, WAITING, "waits until another run lets go of its worker"))
    return admitted, waiting


def _workflow(run: ActiveRun) -> tuple[str, str, str]:
    return run.place.project, run.place.environment, run.workflow
