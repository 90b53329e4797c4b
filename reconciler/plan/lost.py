"""State lost: a place with a lineage that this database knows no pass of. What is not proven to have run, or not to have, waits for a person."""

from collections.abc import Iterable
from shlex import quote

from reconciler.actions import Notice
from reconciler.model import Desired, Run

START, DONE = "start", "done"
REASON = "state-unknown"


def unproven(desired: Desired, runs: Iterable[Run]) -> list[Notice]:
    """Say of each of these runs that it waits for a person, and of their project how to answer."""
    waiting = [Notice(f"run/{run.name}", REASON, "not started: nothing here proves whether it has run before", run.source) for run in runs]
    if not waiting:
        return []
    count = "1 run is" if len(waiting) == 1 else f"{len(waiting)} runs are"
    which = f" (lineage {desired.lineage})" if desired.lineage else ""
    message = (
        f"this machine has no memory of {desired.place.project}/{desired.place.environment}{which}, so {count} held."
        f" If they never ran anywhere: `{command(desired, START)}`. If they have run: `{command(desired, DONE)}`"
    )
    return [Notice(f"project/{desired.place.project}", REASON, message), *waiting]


def command(desired: Desired, answer: str) -> str:
    """Return what a person types to answer for a place."""
    environment = "" if desired.place.environment in ("default", "local") else f" --env {quote(desired.place.environment)}"
    return f"ty-openworkflow{environment} reconcile --once --assume {answer} {quote(desired.folder)}"
