"""Who goes first when there is not room for all."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from heapq import nsmallest
from math import ceil

from reconciler.actions import Claim
from reconciler.compute import Live, Missing, Observation, Unclaimed
from reconciler.recorded import ActiveRun
from reconciler.values import frozen, made

_ROUNDING = 1e-6
_GATES = ("start_after", "start_deadline_ms", "depends_on", "follows")
Queue = dict[tuple[str, str, str], list[ActiveRun]]


@frozen
class Limits:
    """How many runs may hold a worker: in all and for each adapter, 0 without limit.

    `crash_limit` is when a crashing run is given up, `input` how many bytes of JSON an input may have (0 without limit). `shared` are adapters
    whose limit stands for workers, with the number of runs that a worker holds there by default: a run that shares its worker with more of
    them takes less of the limit.
    """

    concurrency: int = 0
    adapters: Mapping[str, int] = made(default_factory=dict)
    crash_limit: int = 3
    input: int = 0
    shared: Mapping[str, int] = made(default_factory=dict)

    def part(self, run: ActiveRun) -> float:
        """Return how much of an adapter's limit a run takes."""
        usual = self.shared.get(run.adapter, 0)
        return usual / max(1, run.revision.block.get("runsPerWorker", usual)) if usual else 1


def queued(run: ActiveRun, seen: Observation | None) -> bool:
    """Say whether nothing but room keeps a run from its first start."""
    return (
        run.claim == 0
        and run.cancel is None
        and not run.suspend
        and run.not_before is None
        and not run.confirmed
        and (seen is None or isinstance(seen, Missing))
        and not any(gate in run.facts for gate in _GATES)
    )


def rank(run: ActiveRun) -> tuple[int, datetime, str]:
    """Return the order of a queue: higher priority, then the older run, first."""
    return -run.priority, run.created_at, run.name


def front(runs: Sequence[ActiveRun], limits: Limits) -> list[ActiveRun]:
    """Return the runs of a queue that could be admitted at the most: of each workflow as many as there is room for."""
    queues: Queue = {}
    for run in runs:
        queues.setdefault(_workflow(run), []).append(run)
    found: list[ActiveRun] = []
    for queue in queues.values():
        rooms = [limits.concurrency, queue[0].concurrency]
        if limits.adapters.get(queue[0].adapter):
            rooms.append(ceil(limits.adapters[queue[0].adapter] / limits.part(queue[0])))
        room = min((room for room in rooms if room), default=len(queue))
        found += nsmallest(room, queue, key=rank) if room < len(queue) else queue
    return found


def admit(claims: Sequence[Claim], active: Mapping[str, ActiveRun], seen: Mapping[str, Observation], limits: Limits) -> list[Claim]:
    """Return the claims that have room; the others stay in the queue."""
    in_all = 0
    by_adapter: defaultdict[str, float] = defaultdict(float)
    by_workflow: Counter[tuple[str, str, str]] = Counter()
    for run in active.values():
        observation = seen.get(run.uid)
        if isinstance(observation, Live) or (isinstance(observation, Unclaimed) and observation.ordered):
            in_all += 1
            by_adapter[run.adapter] += limits.part(run)
            by_workflow[_workflow(run)] += 1
    admitted: list[Claim] = []
    for claim in sorted(claims, key=lambda claim: rank(claim.run)):
        run = claim.run
        full = (
            (limits.concurrency and in_all >= limits.concurrency)
            or (limits.adapters.get(run.adapter) and by_adapter[run.adapter] + limits.part(run) > limits.adapters[run.adapter] + _ROUNDING)
            or (run.concurrency and by_workflow[_workflow(run)] >= run.concurrency)
        )
        if not full:
            in_all += 1
            by_adapter[run.adapter] += limits.part(run)
            by_workflow[_workflow(run)] += 1
            admitted.append(claim)
    return admitted


def _workflow(run: ActiveRun) -> tuple[str, str, str]:
    return run.place.project, run.place.environment, run.workflow
