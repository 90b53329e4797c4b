"""Which statuses follow which: the table, and the database that holds to it."""

from itertools import product
from pathlib import Path

import pytest

from reconciler.compute import Finished, LetGo, Live, Seen
from reconciler.model import TERMINAL, Status
from reconciler.moves import MOVES, SOURCES, may_follow
from reconciler.state import Store, open_store, runs, workflows
from tests.support.builders import NOON, a_revision, an_active_run

OPEN = [status for status in Status if status not in TERMINAL]


def test_the_table_has_a_row_for_every_status_and_none_of_them_is_terminal_and_goes_on() -> None:
    assert MOVES.keys() == set(Status)
    assert all((not followers) == (status in TERMINAL) for status, followers in MOVES.items())


def test_moves_that_are_allowed_one_after_another_are_allowed_at_once() -> None:
    """So that whoever looks now and then sees only what the table holds."""
    for before, between, after in product(Status, repeat=3):
        if may_follow(before, between) and may_follow(between, after):
            assert may_follow(before, after), f"{before} to {between} to {after}"


def test_nothing_becomes_pending_and_nobody_turns_back_from_canceling() -> None:
    assert SOURCES[Status.PENDING] == "'pending'"
    assert MOVES[Status.CANCELING].keys() <= TERMINAL


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path)


def status_of(store: Store) -> str:
    return str(store.db.execute("SELECT status FROM runs").fetchone()[0])


def remembered(store: Store, status: Status) -> str:
    """Put a run of a status into the database, and return its uid."""
    run = an_active_run(status=status)
    with store.transaction():
        workflows.save_revision(store, a_revision(), "memory", None, deployed=True, now=NOON)
        runs.insert_run(store, run, "", now=NOON)
    return run.uid


@pytest.mark.parametrize(("before", "after"), list(product(OPEN, OPEN)))
def test_the_database_takes_what_was_seen_where_the_table_allows_it(store: Store, before: Status, after: Status) -> None:
    uid = remembered(store, before)

    taken = runs.record_progress(store, uid, Live(Seen(claim=1, size=10), after), after, reason="")

    assert taken == may_follow(before, after)
    assert status_of(store) == (after if taken else before)


@pytest.mark.parametrize(("before", "after"), list(product(OPEN, sorted(TERMINAL))))
def test_the_database_takes_an_end_where_the_table_allows_it(store: Store, before: Status, after: Status) -> None:
    uid = remembered(store, before)

    taken = runs.finish(store, uid, Finished(Seen(claim=1), after, NOON))

    assert taken == may_follow(before, after)
    assert status_of(store) == (after if taken else before)


@pytest.mark.parametrize(("first", "second"), list(product(sorted(TERMINAL), repeat=2)))
def test_I5_the_first_end_counts(store: Store, first: Status, second: Status) -> None:
    uid = remembered(store, Status.PENDING)
    runs.finish(store, uid, Finished(Seen(claim=1), first, NOON))

    assert not runs.finish(store, uid, Finished(Seen(claim=2), second, NOON))
    assert not runs.record_progress(store, uid, LetGo(Seen(claim=3), "parked", Status.SLEEPING), Status.SLEEPING, reason="parked")
    runs.confirm(store, [uid])
    assert status_of(store) == first


@pytest.mark.parametrize("before", OPEN)
def test_a_run_whose_order_was_handed_over_runs_unless_it_is_being_canceled(store: Store, before: Status) -> None:
    uid = remembered(store, before)

    runs.confirm(store, [uid])

    assert status_of(store) == ("canceling" if before is Status.CANCELING else "running")
