"""What somebody changed on a platform behind our back is told apart from changes, and healed or only told, as the workflow says."""

from pathlib import Path

import pytest

from reconciler.actions import Claim, Deploy
from reconciler.reconcile import Report
from tests.support.builders import a_run, desired
from tests.support.trouble import Loop, behaves

PARK = behaves("park")


@pytest.fixture
def loop(tmp_path: Path) -> Loop:
    return Loop(tmp_path)


def alter(loop: Loop, digest: str = PARK.revision) -> None:
    loop.platform.revisions[digest]["workflow.py"] = b"altered"


def deployed(loop: Loop, *items: object) -> None:
    for _ in range(2):
        loop.step(desired(*items))  # type: ignore[arg-type]
        loop.finish_errands()
    loop.step(desired(*items))  # type: ignore[arg-type]


def drift(report: Report) -> list[tuple[str, str]]:
    return [(notice.object, notice.reason) for notice in report.plan.drift]


def healed(report: Report) -> list[str]:
    return [action.verb for action in report.plan.actions if isinstance(action, Deploy)]


def test_an_altered_revision_is_told_and_healed(loop: Loop) -> None:
    deployed(loop, PARK)
    alter(loop)

    report = loop.step(desired(PARK))
    assert (drift(report), healed(report)) == ([("workflow/park", "altered")], ["heal"])
    loop.finish_errands()

    assert loop.platform.revisions[PARK.revision] == {"workflow.py": b""}
    after = loop.step(desired(PARK))
    assert (after.plan.actions, after.plan.drift) == ((), ())


def test_a_removed_revision_is_drift_too(loop: Loop) -> None:
    deployed(loop, PARK)
    del loop.platform.revisions[PARK.revision]

    report = loop.step(desired(PARK))

    assert (drift(report), healed(report)) == ([("workflow/park", "missing")], ["heal"])


def test_what_is_only_reported_is_no_change(loop: Loop) -> None:
    park = behaves("park", drift="report")
    deployed(loop, park)
    alter(loop)
    for _ in range(2):
        report = loop.step(desired(park))

        assert drift(report) == [("workflow/park", "altered")]
        assert report.plan.changes == []
        assert loop.world.writes == 0
    assert loop.platform.revisions[PARK.revision] == {"workflow.py": b"altered"}


def test_another_policy_is_no_other_revision_and_heals_in_the_next_pass(loop: Loop) -> None:
    deployed(loop, behaves("park", drift="report"))
    alter(loop)

    report = loop.step(desired(PARK))

    assert healed(report) == ["heal"]


def test_I17_no_run_is_started_or_woken_with_code_that_is_about_to_be_healed(loop: Loop) -> None:
    deployed(loop, PARK, a_run("a", workflow="park"))
    alter(loop)
    loop.world.clock.at = loop.world.clock.at.replace(year=2100)  # it is due
    folder = desired(PARK, a_run("a", workflow="park"), a_run("b", workflow="park"))
    first = loop.step(folder)
    second = loop.step(folder)

    assert loop.run("b")["claim"] == 0
    assert loop.run("a")["claim"] == 1
    assert healed(first) == ["heal"]
    assert not [action for action in second.plan.actions if isinstance(action, Claim)]
    loop.finish_errands()
    loop.step(folder)
    assert (loop.run("a")["claim"], loop.run("b")["claim"]) == (2, 1)


def test_I17_a_run_whose_revision_is_declared_no_more_is_held_while_that_is_altered(loop: Loop) -> None:
    old, new = behaves("park", "w", "r1"), behaves("echo", "w", "r2")
    deployed(loop, old, a_run("a", workflow="w"))
    deployed(loop, new, a_run("a", workflow="w"))
    alter(loop, "r1")
    loop.world.clock.at = loop.world.clock.at.replace(year=2100)
    folder = desired(new, a_run("a", workflow="w"))
    report = loop.step(folder)

    assert drift(report) == [("run/a", "altered")]
    assert (loop.run("a")["reason"], loop.run("a")["claim"]) == ("revision-altered", 1)
    assert [notice.object for notice in report.plan.held] == ["run/a"]
    assert loop.step(folder).plan.actions == ()
    loop.platform.revisions["r1"] = {"workflow.py": b""}
    loop.step(folder)
    assert loop.run("a")["claim"] == 2


def test_a_platform_that_cannot_be_asked_shows_no_drift_and_deploys_nothing(loop: Loop) -> None:
    deployed(loop, PARK)
    alter(loop)
    loop.platform.down = True

    report = loop.step(desired(PARK, behaves("echo")))

    assert (report.plan.drift, report.plan.actions) == ((), ())
    assert [(notice.object, notice.reason) for notice in report.plan.rejected] == [("workflow/echo", "unavailable")]
