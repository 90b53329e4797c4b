"""The plan of a pass, from what is declared, remembered and seen."""

from typing import Any

import pytest

from reconciler.actions import Claim, Deploy, Edit, Plan, RemoveWorkflow, Start
from reconciler.compute import Live, Missing, Observation, Seen
from reconciler.model import Problem, Run, Status
from reconciler.plan import Limits, Observed, decide
from reconciler.plan.workflows import revision_of, workflow_facts
from reconciler.recorded import KnownWorkflow, Recorded, RunLine
from reconciler.values import replace
from tests.support.builders import FOLDER, NOON, PLACE, a_run, a_workflow, an_active_run, desired

GREET = a_workflow()
KNOWN = {"greet": KnownWorkflow("greet", FOLDER, revision_of(GREET), workflow_facts(GREET), GREET.source)}
THERE = Observed(deployed=frozenset({GREET.revision}))


def a_line(run: Run, **changes: Any) -> RunLine:
    line = RunLine(
        run.name,
        f"uid-of-{run.name}",
        1,
        FOLDER,
        run.workflow,
        run.spec_hash,
        "",
        "running",
        0,
        0,
        None,
        1,
        GREET.revision,
        "x.yaml:1",
        "{}",
        None,
        None,
    )
    return line._replace(**changes)


def remembered(*runs: Run, **changes: Any) -> Recorded:
    lines = {run.name: a_line(run, **changes) for run in runs}
    active = {line.uid: an_active_run(line.name, uid=line.uid) for line in lines.values() if not line.ended}
    return Recorded(KNOWN, lines, active, scope="home")


def of(plan: Plan, kind: type) -> list[Any]:
    return [action for action in plan.actions if isinstance(action, kind)]


def plan(*args: Any, seen: dict[str, Observation] | None = None, limits: Limits | None = None, **changes: Any) -> Plan:
    wanted, recorded = args
    observed = replace(THERE, runs=seen or dict.fromkeys(recorded.active, Live(Seen(1), Status.RUNNING)), **changes)
    return decide(wanted, recorded, observed, limits or Limits(), now=NOON)


def test_a_new_folder_deploys_and_starts() -> None:
    result = decide(desired(GREET, a_run()), Recorded(scope="home"), Observed(), Limits(), now=NOON)

    assert [(change.symbol, change.kind, change.action) for change in result.changes] == [("+", "workflow", "deploy"), ("+", "run", "start")]
    assert [action.claim for action in of(result, Claim)] == [1]


def test_what_runs_as_declared_needs_nothing() -> None:
    result = plan(desired(GREET, a_run()), remembered(a_run()))

    assert result.actions == ()
    assert result.unchanged == 2


@pytest.mark.parametrize("status", ["completed", "failed", "canceled", "skipped"])
def test_a_finished_run_is_never_run_again(status: str) -> None:
    recorded = remembered(a_run(), status=status)

    assert plan(desired(GREET, a_run()), recorded).actions == ()
    assert plan(desired(GREET), recorded).actions == ()


def test_an_edit_of_a_finished_run_is_rejected_and_says_what_to_do() -> None:
    result = plan(desired(GREET, a_run(spec_hash="another")), remembered(a_run(), status="completed"))

    assert result.actions == ()
    assert [notice.reason for notice in result.rejected] == ["edited-after-start"]
    assert "another name" in result.rejected[0].message


def test_a_new_token_starts_exactly_one_new_incarnation() -> None:
    again = a_run(rerun="2")

    result = plan(desired(GREET, again), remembered(a_run(), status="failed"))

    assert [(action.run.incarnation, action.rerun) for action in of(result, Start)] == [(2, "2")]
    assert plan(desired(GREET, again), remembered(a_run(), status="failed", rerun="2", incarnation=2)).actions == ()


def test_a_new_token_cancels_an_active_run_first() -> None:
    result = plan(desired(GREET, a_run(rerun="2")), remembered(a_run()))

    assert of(result, Start) == []
    assert [action.changes for action in of(result, Edit)] == [{"cancel": "replaced (rerun '2')"}]


def test_a_changed_run_that_never_started_is_simply_changed() -> None:
    run = a_run(spec_hash="another", input={"name": "Ana"})

    result = plan(desired(GREET, run), remembered(a_run(), claim=0, status="pending"))

    assert [action.changes["spec_hash"] for action in of(result, Edit)] == ["another"]


def test_a_removed_manifest_cancels_its_run_and_forgets_its_workflow() -> None:
    result = plan(desired(a_workflow("other")), remembered(a_run()), deployed=frozenset({GREET.revision, "revision-of-other"}))

    assert [action.changes for action in of(result, Edit)] == [{"cancel": "its manifest is gone"}]
    assert [action.name for action in of(result, RemoveWorkflow)] == ["greet"]


@pytest.mark.parametrize(
    "changes",
    [
        {"problems": (Problem("bad.yaml", 1, 1, "", "no"),)},
        {"complete": False},
        {"prune_max": 0},
    ],
)
def test_I12_in_doubt_nothing_is_pruned_and_a_person_is_asked(changes: dict[str, Any]) -> None:
    result = plan(desired(a_workflow("other"), **changes), remembered(a_run()))

    assert of(result, Edit) == of(result, RemoveWorkflow) == []
    assert {notice.object for notice in result.held} == {"run/greet-world", "workflow/greet"}


def test_I12_an_empty_folder_prunes_nothing() -> None:
    assert [notice.reason for notice in plan(desired(), remembered(a_run())).held] == ["prune-held", "prune-held"]


def test_an_object_that_is_there_and_invalid_is_not_pruned() -> None:
    result = plan(desired(GREET, invalid=frozenset({"run/greet-world"}), problems=(Problem("a.yaml", 1, 1, "", "no"),)), remembered(a_run()))

    assert result.actions == ()


def test_prune_leaves_what_another_folder_owns() -> None:
    assert plan(desired(GREET), remembered(a_run(), owner="/srv/other")).actions == ()


def test_two_folders_do_not_share_a_name() -> None:
    result = plan(desired(GREET, a_run()), remembered(a_run(), owner="/srv/other"))

    assert [notice.reason for notice in result.rejected] == ["conflict"]
    assert plan(desired(GREET, a_run()), remembered(a_run(), owner="/srv/gone"), gone=frozenset({"/srv/gone"})).rejected == ()


def test_a_revision_that_vanished_is_deployed_again() -> None:
    result = plan(desired(GREET), Recorded(KNOWN, scope="home"), deployed=frozenset())

    assert [action.verb for action in of(result, Deploy)] == ["heal"]


def test_a_workflow_that_cannot_run_here_is_neither_deployed_nor_started() -> None:
    result = plan(desired(GREET, a_run()), Recorded(scope="home"), absent={GREET.revision: "needs node"})

    assert result.actions == ()
    assert {notice.reason for notice in result.rejected} == {"runtime-missing", "workflow-missing"}


def test_limits_admit_the_higher_priority_first_and_say_who_waits() -> None:
    runs = [a_run("a"), a_run("b", priority=5), a_run("c")]

    result = plan(desired(GREET, *runs), Recorded(KNOWN, scope="home"), limits=Limits(adapters={"memory": 2}))

    assert [action.run.name for action in of(result, Claim)] == ["b", "a"]
    assert len(of(result, Start)) == 3


def test_runs_that_hold_a_worker_count_and_parked_ones_do_not() -> None:
    recorded = Recorded(KNOWN, {}, {"uid-of-x": an_active_run("x")}, scope="home")
    wanted = desired(GREET, a_run("a"))

    assert of(plan(wanted, recorded, limits=Limits(concurrency=1)), Claim) == []
    assert len(of(plan(wanted, recorded, limits=Limits(concurrency=1), seen={"uid-of-x": Missing()}), Claim)) <= 1


def test_the_same_folder_gives_the_same_plan_in_any_order() -> None:
    runs = [a_run(name) for name in "abcdef"]

    forward = plan(desired(GREET, *runs), Recorded(KNOWN, scope="home"))
    backward = plan(desired(GREET, *reversed(runs)), Recorded(KNOWN, scope="home"))

    assert sorted(change.name for change in forward.changes) == sorted(change.name for change in backward.changes)
    assert [action.run.name for action in of(forward, Claim)] == [action.run.name for action in of(backward, Claim)]


def test_an_input_over_the_limit_is_rejected_with_both_sizes() -> None:
    result = plan(desired(GREET, a_run(input="x" * 100)), Recorded(KNOWN, scope="home"), limits=Limits(input=50))

    assert [notice.reason for notice in result.rejected] == ["input-too-large"]
    assert "102 bytes" in result.rejected[0].message
    assert result.actions == ()


def test_a_run_that_is_edited_before_its_start_starts_as_it_was_declared_last() -> None:
    other = a_workflow("other")
    run = a_run(workflow="other", spec_hash="another", input={"name": "Ana"})
    recorded = remembered(a_run(), claim=0, status="pending")
    recorded = replace(recorded, active={uid: replace(one, claim=0, confirmed=False) for uid, one in recorded.active.items()})

    result = plan(desired(GREET, other, run), recorded, seen={"uid-of-greet-world": Missing()}, deployed=frozenset({GREET.revision, other.revision}))

    claim = of(result, Claim)[0]
    assert (claim.run.spec_hash, claim.run.input, claim.run.revision.digest) == ("another", {"name": "Ana"}, other.revision)


def test_a_run_whose_revision_could_not_be_deployed_is_not_started() -> None:
    recorded = Recorded({}, {}, {"uid-of-x": an_active_run("x", claim=0, confirmed=False, deployed=False)}, scope="home")

    result = decide(None, recorded, Observed(runs={"uid-of-x": Missing()}), Limits(), now=NOON)

    assert of(result, Claim) == []


def test_I12_a_document_that_looks_like_ours_and_is_ignored_holds_the_prune() -> None:
    typo = Problem("a.yaml", 1, 1, "/apiVersion", "looks like a Run of ours, but is ignored", code="ignored", warning=True)

    result = plan(desired(GREET, problems=(typo,)), remembered(a_run()))

    assert of(result, Edit) == []
    assert [notice.reason for notice in result.held] == ["prune-held"]


def test_a_run_that_has_to_wait_is_not_shown_as_a_start() -> None:
    result = plan(desired(GREET, a_run(suspend=True)), Recorded(KNOWN, scope="home"))

    assert [(change.action, change.reason) for change in result.changes] == [("wait", "suspended before its start")]


def test_a_runtime_that_is_missing_in_one_project_holds_nothing_of_another() -> None:
    other = an_active_run("x", claim=0, confirmed=False, place=PLACE.__class__("other", "dev"))
    recorded = Recorded({}, {}, {other.uid: other}, scope="home")

    result = plan(desired(GREET), recorded, seen={other.uid: Missing()}, absent={GREET.revision: "needs node"})

    assert [claim.run.uid for claim in of(result, Claim)] == [other.uid]
