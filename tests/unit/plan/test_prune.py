"""What goes when its manifest is gone, what holds it, and what lets it through."""

from datetime import timedelta
from typing import Any

import pytest

from reconciler.actions import Edit, Plan, RemoveWorkflow
from reconciler.compute import Unknown
from reconciler.digest import Json
from reconciler.errors import StalePlanError
from reconciler.journal import encode_json
from reconciler.model import Problem, Source, Workflow
from reconciler.plan import Limits, Observed, decide
from reconciler.plan.approval import approved_objects, digest_of_plan, held_objects
from reconciler.plan.workflows import revision_of, workflow_facts
from reconciler.recorded import ActiveRun, KnownWorkflow, Recorded, RunLine
from reconciler.values import replace
from tests.support.builders import FOLDER, NOON, PLACE, SECOND, a_workflow, an_active_run, desired


def known(workflow: Workflow) -> KnownWorkflow:
    return KnownWorkflow(workflow.name, FOLDER, revision_of(workflow), workflow_facts(workflow), workflow.source)


def line(run: ActiveRun, facts: Json) -> RunLine:
    return RunLine(
        run.name, run.uid, 1, run.owner, run.workflow, run.spec_hash, "", run.status.value, 0, 0, None, run.claim, run.revision.digest,
        f"{run.name}.yaml:1", encode_json(facts), None, None,
    )  # fmt: skip


def remembered(*workflows: Workflow, **runs: Json) -> Recorded:
    """Remember workflows, and active runs by name with what is kept of their manifests."""
    active = {name: an_active_run(name) for name in runs}
    lines = {name: line(run, runs[name]) for name, run in active.items()}
    return Recorded({item.name: known(item) for item in workflows}, lines, {run.uid: run for run in active.values()}, scope="home")


KEPT = a_workflow("kept")
GREET = a_workflow("greet")


def plan(recorded: Recorded, *objects: Workflow, approved: frozenset[str] = frozenset(), away: bool = True, **facts: Any) -> Plan:
    """Decide, by default while the platform does not answer, so that nothing goes on by itself."""
    declared = desired(*(objects or (KEPT,)), **facts)
    deployed = frozenset(item.revision for item in declared.workflows.values())
    seen = dict.fromkeys(recorded.active, Unknown("it does not answer")) if away else {}
    return decide(declared, recorded, Observed(seen, deployed), Limits(), now=NOON, approved=approved)


def gone(plan: Plan) -> set[str]:
    """Return the objects that a plan prunes."""
    edits = {f"run/{action.name}" for action in plan.actions if isinstance(action, Edit) and "cancel" in action.changes}
    return edits | {f"workflow/{action.name}" for action in plan.actions if isinstance(action, RemoveWorkflow)}


def held(plan: Plan) -> set[tuple[str, str]]:
    return {(notice.object, notice.reason) for notice in plan.held}


def test_what_says_confirm_waits_for_a_person_and_the_others_go() -> None:
    recorded = remembered(KEPT, a_workflow("careful", prune="confirm"), GREET, one={"prune": "confirm"}, two={})

    result = plan(recorded)

    assert gone(result) == {"workflow/greet", "run/two"}
    assert held(result) == {("workflow/careful", "prune-confirm"), ("run/one", "prune-confirm")}


def test_what_says_disabled_stays_for_ever() -> None:
    result = plan(remembered(KEPT, a_workflow("fixed", prune="disabled"), one={"prune": "disabled"}))

    assert (gone(result), result.held) == (set(), ())


def test_what_was_deleted_on_purpose_needs_no_confirmation() -> None:
    recorded = remembered(KEPT, one={"prune": "confirm"})

    assert gone(plan(recorded, approved=frozenset({"run/one"}), prune_max=0)) == {"run/one"}


DOUBTS: list[dict[str, Any]] = [
    {"problems": (Problem("a.yaml", 1, 1, "", "no"),)},
    {"complete": False},
    {"prune_max": 1},
    {"workflows": {}},
]


@pytest.mark.parametrize("doubt", DOUBTS)
def test_the_digest_of_the_plan_lets_through_what_was_held(doubt: dict[str, Any]) -> None:
    recorded = remembered(KEPT, GREET, one={}, two={"prune": "confirm"})
    shown = plan(recorded, **doubt)
    assert gone(shown) == set()

    approved = approved_objects(PLACE, plan(recorded, **doubt), digest_of_plan(PLACE, shown)[:16])

    assert {"workflow/greet", "run/one", "run/two"} <= approved
    assert gone(plan(recorded, approved=approved, **doubt)) == approved


def test_the_digest_of_another_plan_approves_nothing_and_names_the_new_one() -> None:
    before = plan(remembered(KEPT, one={"prune": "confirm"}))
    now = plan(remembered(KEPT, one={"prune": "confirm"}, two={"prune": "confirm"}))

    with pytest.raises(StalePlanError) as told:
        approved_objects(PLACE, now, digest_of_plan(PLACE, before))

    assert digest_of_plan(PLACE, now)[:16] in str(told.value)
    assert "run/one, run/two" in str(told.value)
    for too_short in ("", "4", digest_of_plan(PLACE, now)[:11]):
        if too_short:
            with pytest.raises(StalePlanError):
                approved_objects(PLACE, now, too_short)


def test_where_nothing_is_held_an_old_digest_is_no_error() -> None:
    assert approved_objects(PLACE, plan(remembered(KEPT)), "0" * 64) == frozenset()


def test_the_digest_covers_everything_that_the_manifests_ask_for() -> None:
    recorded = remembered(KEPT, one={"prune": "confirm"})
    shown = digest_of_plan(PLACE, plan(recorded))

    assert digest_of_plan(PLACE, plan(recorded, KEPT, a_workflow("new"))) != shown
    assert digest_of_plan(PLACE, plan(recorded, a_workflow("kept", revision="other"))) != shown
    assert digest_of_plan(PLACE, plan(remembered(KEPT))) != shown
    assert digest_of_plan(replace(PLACE, environment="prod"), plan(recorded)) != shown


def test_the_digest_leaves_out_what_goes_on_by_itself() -> None:
    """A run that is woken, or whose worker died, between plan and approval makes no plan stale."""
    recorded = remembered(KEPT, one={"prune": "confirm"})
    waiting = replace(recorded, active={uid: replace(run, claim=0, confirmed=False) for uid, run in recorded.active.items()})

    assert plan(recorded).actions != plan(waiting, away=False).actions
    assert digest_of_plan(PLACE, plan(recorded)) == digest_of_plan(PLACE, plan(waiting, away=False))


def test_I12_what_vanished_a_moment_ago_is_not_pruned_yet_and_nobody_can_approve_it() -> None:
    recorded = remembered(KEPT, GREET, one={})

    result = plan(recorded, settled_at=NOON + SECOND)

    assert held(result) == {("workflow/greet", "settling"), ("run/one", "settling")}
    assert gone(result) == set()
    assert held_objects(result) == frozenset()
    assert gone(plan(recorded, settled_at=NOON)) == {"workflow/greet", "run/one"}
    assert gone(plan(recorded, settled_at=NOON + timedelta(days=1), approved=frozenset({"workflow/greet", "run/one"}))) == {
        "workflow/greet",
        "run/one",
    }


def test_what_was_declared_where_a_commit_cannot_be_read_is_held() -> None:
    recorded = remembered(KEPT, one={}, two={})
    there = replace(recorded, runs={**recorded.runs, "one": recorded.runs["one"]._replace(source="vendor/flows/one.yaml:3")})

    result = plan(there, unread=("vendor/flows",))

    assert (gone(result), held(result)) == ({"run/two"}, {("run/one", "prune-held")})
    assert result.held[0].source == Source("vendor/flows/one.yaml", 3)
