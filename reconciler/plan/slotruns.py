"""The run of a slot: its name, what it is given, and where it says it comes from."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from reconciler.compute import Revision
from reconciler.digest import Json, digest_of, uid_of
from reconciler.duration import parse_duration
from reconciler.instants import milliseconds, stamp
from reconciler.model import Place, Source
from reconciler.recorded import ActiveRun, pending_run
from reconciler.slots import fill_slot, slot_name, slot_values
from reconciler.values import frozen


@frozen
class Maker:
    """Everything that the runs of a schedule have in common. `revision` is what they are pinned to."""

    place: Place
    schedule: str
    spec: Mapping[str, Any]
    scope: str
    revision: Revision
    adapter: str
    concurrency: int
    deployed: bool
    source: Source

    def run(self, slot: datetime, *, now: datetime, follows: Sequence[str] = (), name: str = "", asked: str = "", jitter: bool = True) -> ActiveRun:
        """Return the run of a slot; it waits for the ends of the runs that it `follows`. `asked` is `manual` or `backfill` where a person wants it."""
        given = fill_slot(self.spec["run"], slot_values(slot, str(self.spec.get("timeZone", "UTC"))))
        name = name or slot_name(self.schedule, slot)
        origin: dict[str, Json] = {"name": self.schedule, "slot": stamp(slot), **({asked: True} if asked else {})}
        return pending_run(
            uid=uid_of(self.scope, self.place.project, self.place.environment, name, 1),
            place=self.place,
            name=name,
            incarnation=1,
            owner=owner_of(self.schedule),
            workflow=self.revision.workflow,
            adapter=self.adapter,
            spec_hash=digest_of({"workflow": self.revision.workflow, "input": given.get("input")}),
            input=given.get("input"),
            revision=self.revision,
            created_at=now,
            facts=self._facts(given, slot, follows, asked, jitter=jitter),
            priority=given.get("priority", 0),
            concurrency=self.concurrency,
            source=self.source,
            deployed=self.deployed,
            origin={"schedule": origin},
        )

    def _facts(self, given: Mapping[str, Any], slot: datetime, follows: Sequence[str], asked: str, *, jitter: bool) -> dict[str, Json]:
        facts: dict[str, Json] = {name: given[name] for name in ("labels", "task") if name in given}
        if follows:
            facts["follows"] = list(follows)
        if not asked:
            delay = jitter_of(self.spec, self.place, self.schedule, slot) if jitter else timedelta(0)
            deadline = self.spec.get("startDeadline")
            if deadline is not None:
                facts["start_deadline_ms"] = milliseconds(parse_duration(deadline))
            if delay or deadline is not None:
                facts["start_after"] = stamp(slot + delay)
        return facts


def owner_of(schedule: str) -> str:
    """Return what the runs of a schedule name as their owner."""
    return f"schedule/{schedule}"


def jitter_of(spec: Mapping[str, Any], place: Place, schedule: str, slot: datetime) -> timedelta:
    """Return how much later than its slot a run starts: below `jitter`, and the same on every machine."""
    most = milliseconds(parse_duration(spec["jitter"])) if "jitter" in spec else 0
    if not most:
        return timedelta(0)
    text = f"{place.project}/{place.environment}/{schedule}/{stamp(slot)}"
    return timedelta(milliseconds=int.from_bytes(sha256(text.encode()).digest()[:8]) % most)


def is_asked_for(run: ActiveRun) -> bool:
    """Say whether a person asked for a run of a schedule: by hand, or as one of a backfill."""
    origin = run.origin.get("schedule", {})
    return bool(origin.get("manual") or origin.get("backfill"))
