"""What a person's pass tries at once although it failed a moment ago."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from reconciler import retrying
from reconciler.actions import Claim
from reconciler.backoff import Tried
from reconciler.compute import Gone, Revision, Seen
from reconciler.model import Place
from reconciler.plan.progress import next_steps
from reconciler.recorded import Recorded, pending_run
from reconciler.state import open_store, retries
from reconciler.values import replace

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
PLACE = Place("shop", "dev")


def test_a_pause_after_deaths_that_is_skipped_is_not_begun_anew(tmp_path: Path) -> None:
    run = replace(
        pending_run(
            uid="u1", place=PLACE, name="b", incarnation=1, owner="/srv", workflow="crash", adapter="exec", spec_hash="h", input=None,
            revision=Revision("r", "crash", "python", "main.py"), created_at=NOW,
        ),
        claim=2, confirmed=True, not_before=NOW + timedelta(seconds=30),
    )  # fmt: skip
    store = open_store(tmp_path)
    with store.transaction():
        retries.remember(store, PLACE, "run/b", Tried("u1", 1, "not-taken", "its order was not taken", NOW, NOW + timedelta(seconds=30)))

    eager = retrying.with_retries(store, Recorded(active={"u1": run}), eager=True, begun=NOW, now=NOW).active["u1"]

    assert [type(step) for step in next_steps(eager, Gone(Seen(claim=2, barren=2)), {}, 3, now=NOW)] == [Claim]
