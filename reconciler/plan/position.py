"""Why a run is not with a worker yet: which limit is reached, and who goes before it."""

from collections.abc import Mapping, Sequence

from reconciler.compute import Live, Missing, Observation, Unclaimed
from reconciler.plan.queue import Limits, rank
from reconciler.recorded import ActiveRun
from reconciler.values import frozen

_NOT_QUEUED = frozenset({"suspended", "start-after", "dependency", "state-unknown", "quarantined"})
_ROUNDING = 1e-6


@frozen
class Queued:
    """A place in the queue: `position` counts from 1 among `length` runs that wait for the same; `limit` says what is reached, empty if nothing is."""

    position: int
    length: int
    limit: str

    @property
    def message(self) -> str:
        """Say it in one sentence."""
        place = f"number {self.position} of {self.length} in the queue" if self.length > 1 else "alone in the queue"
        return f"{self.limit}; {place}" if self.limit else f"there is room for it: the next pass hands it to a worker ({place})"


def waits_in_queue(run: ActiveRun) -> bool:
    """Say whether nothing but room keeps a run from a worker, as far as is remembered."""
    return run.claim == 0 and run.cancel is None and not run.suspend and run.not_before is None and run.reason not in _NOT_QUEUED


def queued_behind(run: ActiveRun, active: Mapping[str, ActiveRun], seen: Mapping[str, Observation], limits: Limits) -> Queued:
    """Return the place of a pending run in the queue for the first limit that is reached."""
    holding = [other for uid, other in active.items() if _holds(seen.get(uid, Missing()))]
    same = [other for other in holding if _workflow(other) == _workflow(run)]
    there = [other for other in holding if other.adapter == run.adapter]
    taken, room = sum(limits.part(other) for other in there), limits.adapters.get(run.adapter, 0)
    waiting = [other for other in active.values() if waits_in_queue(other)]
    if run.concurrency and len(same) >= run.concurrency:
        limit = f"{len(same)} of {run.concurrency} runs of workflow {run.workflow} hold a worker"
        waiting = [other for other in waiting if _workflow(other) == _workflow(run)]
    elif limits.concurrency and len(holding) >= limits.concurrency:
        limit = f"{len(holding)} of {limits.concurrency} runs in all (concurrency) hold a worker"
    elif room and taken + limits.part(run) > room + _ROUNDING:
        limit = (
            f"{len(there)} {'run' if len(there) == 1 else 'runs'} on {run.adapter} hold a worker, and adapters.{run.adapter}.concurrency is {room}"
        )
        waiting = [other for other in waiting if other.adapter == run.adapter]
    else:
        limit = ""
    return Queued(_position(run, waiting), max(1, len(waiting)), limit)


def _position(run: ActiveRun, waiting: Sequence[ActiveRun]) -> int:
    return 1 + sum(rank(other) < rank(run) for other in waiting)


def _holds(seen: Observation) -> bool:
    return isinstance(seen, Live) or (isinstance(seen, Unclaimed) and seen.ordered)


def _workflow(run: ActiveRun) -> tuple[str, str, str]:
    return run.place.project, run.place.environment, run.workflow
