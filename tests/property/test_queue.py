"""The queue of a loop: what is slow, fails or must wait keeps nothing else from going on, and never a newer state."""

import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.bucket import TokenBucket
from reconciler.actions import Deploy
from reconciler.compute import Order, Outcome, Refused
from reconciler.errors import RejectedError, UnavailableError
from reconciler.model import Desired, Place, Run, Workflow
from reconciler.reconcile import Report
from tests.support.builders import NOON, a_run, desired
from tests.support.memory import MemoryAdapter, Platform
from tests.support.trouble import Loop, behaves
from tests.support.world import HandClock, World


@pytest.fixture
def loop(tmp_path: Path) -> Loop:
    return Loop(tmp_path)


def deploys(report: Report) -> list[str]:
    return [action.workflow.name for action in report.plan.actions if isinstance(action, Deploy)]


def notices(report: Report) -> list[tuple[str, str]]:
    return [(notice.object, notice.reason) for notice in report.plan.rejected]


SLOW = behaves("echo", "slow")


def test_other_runs_go_on_while_a_deploy_hangs(loop: Loop) -> None:
    parks, crashes, works = behaves("park"), behaves("crash"), behaves("work")
    others = [a_run("sleeps", workflow="park"), a_run("dies", workflow="crash"), a_run("busy", workflow="work")]
    loop.step(desired(parks, crashes, works))
    loop.finish_errands()
    loop.step(desired(parks, crashes, works, *others))
    everything: list[Workflow | Run] = [parks, crashes, works, SLOW, *others, a_run("waits", workflow="slow")]
    loop.step(desired(*everything))  # the deploy of `slow` begins, and does not end

    loop.later(1)
    loop.world.clock.at = loop.world.clock.at.replace(year=2100)
    report = loop.step(desired(*everything))  # one sleeps no longer, one has died
    canceled: list[Workflow | Run] = [a_run("busy", workflow="work", cancel=True) if item.name == "busy" else item for item in everything]
    loop.step(desired(*canceled))
    loop.step(desired(*canceled))

    assert {change.name: change.action for change in report.plan.changes}["sleeps"] == "wake"
    assert loop.run("dies")["claim"] > 1
    assert loop.run("busy")["status"] == "canceled"
    assert (loop.run("waits")["status"], loop.run("waits")["reason"]) == ("pending", "deploying")
    assert len(loop.held) == 1


def test_a_run_starts_as_soon_as_the_outcome_of_its_deploy_is_there(loop: Loop) -> None:
    folder = desired(SLOW, a_run("a", workflow="slow"))
    loop.step(folder)
    assert loop.woken == 0
    loop.finish_errands()
    assert loop.woken == 1

    report = loop.step(folder)
    loop.step(folder)

    assert report.plan.actions
    assert loop.run("a")["status"] == "completed"
    assert loop.step(folder).plan.actions == ()


def test_I10_a_plan_does_not_repeat_what_is_in_flight(loop: Loop) -> None:
    folder = desired(SLOW, a_run("a", workflow="slow"))
    first = loop.step(folder)
    second = loop.step(folder)

    assert deploys(first) == ["slow"]
    assert second.plan.actions == ()
    assert loop.world.writes == 0


def test_a_newer_state_goes_next_and_the_older_one_is_told_to_give_up(loop: Loop) -> None:
    old, new = behaves("fail", "w", "r1"), behaves("echo", "w", "r2")
    loop.step(desired(old))
    loop.step(desired(new, a_run("a", workflow="w")))
    assert loop.trouble.abandoned == ["r1"]
    loop.trouble.deploys["r1"] = UnavailableError("killed")
    loop.finish_errands()

    report = loop.step(desired(new, a_run("a", workflow="w")))
    loop.step(desired(new, a_run("a", workflow="w")))

    assert report.applied.failures == []
    assert (loop.run("a")["status"], loop.run("a")["revision"]) == ("completed", "r2")


def test_a_failed_deploy_is_tried_again_later_and_later_also_by_another_process(loop: Loop) -> None:
    folder = desired(SLOW)
    loop.trouble.deploys[SLOW.revision] = UnavailableError("the registry is away")
    waits = []
    for _ in range(12):
        loop.step(folder)
        loop.finish_errands()
        report = loop.step(folder)
        assert [failure.again for failure in report.applied.failures] == [True]
        assert notices(report) == [("workflow/slow", "deploy-failed")]
        (due,) = report.dues
        waits.append((due - loop.world.clock.now()) / timedelta(seconds=1))
        loop.restart()
        assert deploys(loop.step(folder)) == []
        loop.world.clock.at = due

    assert all(wait <= min(300, 2**number) for number, wait in enumerate(waits))
    assert max(waits) > 30
    loop.trouble.deploys.clear()
    loop.step(folder)
    loop.finish_errands()
    loop.step(folder)
    loop.trouble.deploys["r2"] = UnavailableError("the registry is away")
    loop.step(desired(behaves("echo", "slow", "r2")))
    loop.finish_errands()
    assert loop.step(desired(behaves("echo", "slow", "r2"))).dues[0] <= loop.world.clock.now() + timedelta(seconds=1)  # it begins anew


def test_a_fix_is_deployed_at_once_while_what_it_mends_waits_for_its_next_try(loop: Loop) -> None:
    broken, fixed = behaves("echo", "w", "broken"), behaves("echo", "w", "fixed")
    loop.trouble.deploys["broken"] = UnavailableError("no such package")
    for _ in range(8):
        loop.step(desired(broken))
        loop.finish_errands()
        loop.world.clock.at = max(loop.step(desired(broken)).dues, default=loop.world.clock.at)
    loop.step(desired(broken))
    loop.finish_errands()
    assert deploys(loop.step(desired(broken))) == []

    assert deploys(loop.step(desired(fixed))) == ["w"]


def test_what_needs_a_change_stalls_a_loop_until_it_changes_or_somebody_asks(loop: Loop) -> None:
    folder = desired(SLOW)
    loop.trouble.deploys[SLOW.revision] = RejectedError("npm is not installed here")
    loop.step(folder)
    loop.finish_errands()
    for _ in range(3):
        loop.later(3600)
        report = loop.step(folder)
        assert deploys(report) == []
    assert notices(report) == [("workflow/slow", "stalled")]
    assert report.dues == ()

    assert deploys(loop.step(folder, eager=True)) == ["slow"]
    loop.finish_errands()
    loop.step(folder)
    assert deploys(loop.step(desired(behaves("echo", "slow", "r2")))) == ["slow"]


def test_another_process_tries_once_what_has_stalled_since_its_settings_may_be_others(loop: Loop) -> None:
    folder = desired(SLOW)
    loop.trouble.deploys[SLOW.revision] = RejectedError("npm is not installed here")
    loop.step(folder)
    loop.finish_errands()
    loop.step(folder)
    loop.restart()
    loop.later(1)

    assert deploys(loop.step(folder)) == ["slow"]
    loop.finish_errands()
    loop.step(folder)
    assert deploys(loop.step(folder)) == []


def test_one_pass_of_a_person_tries_what_failed_before(loop: Loop) -> None:
    loop.world.errands = None
    folder = desired(SLOW)
    loop.trouble.deploys[SLOW.revision] = UnavailableError("the registry is away")
    loop.step(folder)

    assert deploys(loop.step(folder)) == ["slow"]
    assert deploys(loop.step(folder, eager=False)) == []


def test_a_refused_order_is_given_again_later_and_later_and_begins_anew_once_it_was_taken(loop: Loop) -> None:
    folder = desired(SLOW, a_run("a", workflow="slow"))
    loop.trouble.orders["a"] = Refused("", "secret-missing", "secret 'x' is not in the settings", again=True)
    loop.step(folder)
    loop.finish_errands()
    for _ in range(8):
        report = loop.step(folder)
        assert [failure.reason for failure in report.applied.failures] == ["secret-missing"]
        not_before = loop.active()["a"].not_before
        assert not_before is not None
        assert loop.step(folder).plan.actions == ()
        loop.restart()
        loop.world.clock.at = not_before + timedelta(milliseconds=1)
    loop.trouble.orders.clear()
    loop.step(folder)
    loop.step(folder)

    assert loop.run("a")["status"] == "completed"
    assert loop.step(folder).plan.actions == ()
    assert loop.world.writes == 0


def test_a_platform_that_says_when_to_come_back_is_left_alone_until_then_by_every_process(loop: Loop) -> None:
    folder = desired(SLOW, behaves("park"), a_run("a", workflow="slow"), a_run("b", workflow="park"))
    loop.step(folder)
    loop.finish_errands()
    loop.trouble.calls = UnavailableError("429 Too Many Requests", retry_after=timedelta(minutes=2))
    loop.step(folder)
    loop.trouble.asked.clear()
    for _ in range(3):
        loop.restart()
        loop.later(30)
        report = loop.step(folder)
        assert loop.world.writes == 0
        assert report.plan.actions == ()

    assert loop.trouble.asked == []
    assert ("adapter/memory", "rate-limited") in notices(report)
    assert NOON + timedelta(minutes=2) in report.dues
    loop.trouble.calls = None
    loop.later(30)
    loop.step(folder)
    loop.finish_errands()
    loop.step(folder)
    assert loop.run("a")["status"] == "completed"


def test_an_order_that_is_refused_with_an_instant_waits_for_it_and_counts_as_no_failure(loop: Loop) -> None:
    folder = desired(SLOW, a_run("a", workflow="slow"), a_run("b", workflow="slow"))
    loop.step(folder)
    loop.finish_errands()
    wait = timedelta(seconds=7)
    loop.trouble.orders["a"] = Refused("", "unavailable", "too many requests", again=True, retry_after=wait)
    first = loop.step(folder)
    report = loop.step(folder)

    assert loop.active()["a"].not_before == NOON + wait
    assert NOON + wait in first.dues
    assert report.plan.actions == ()
    assert len(loop.platform.journals) == 1  # what was taken before is done
    loop.trouble.orders.clear()
    loop.later(7)
    loop.step(folder)
    loop.step(folder)
    assert loop.run("a")["status"] == loop.run("b")["status"] == "completed"


def test_orders_that_could_not_be_given_are_given_again_and_nothing_runs_twice(loop: Loop) -> None:
    folder = desired(SLOW, a_run("a", workflow="slow"), a_run("b", workflow="slow"))
    loop.step(desired(SLOW))
    loop.finish_errands()
    loop.trouble.starts = UnavailableError("connection reset")
    report = loop.step(folder)
    loop.trouble.starts = None
    loop.later(1)
    loop.step(folder)
    loop.step(folder)

    assert [failure.object for failure in report.applied.failures] == ["run/a", "run/b"]
    assert loop.run("a")["status"] == loop.run("b")["status"] == "completed"


def test_a_deploy_of_a_workflow_that_is_gone_is_taken_back(loop: Loop) -> None:
    loop.step(desired(SLOW, behaves("park")))
    loop.step(desired(behaves("park")))

    assert loop.trouble.abandoned == [SLOW.revision]


def test_a_deploy_goes_on_while_its_manifest_cannot_be_read(loop: Loop) -> None:
    loop.step(desired(SLOW, behaves("park")))
    loop.step(desired(behaves("park"), invalid=frozenset({"workflow/slow"})))
    loop.step(desired(behaves("park"), complete=False))

    assert loop.trouble.abandoned == []
    assert len(loop.held) == 2


def test_what_came_back_is_not_removed_by_a_pass_of_another_place_before_it_is_used(loop: Loop) -> None:
    other: dict[str, Any] = {"place": Place("bank", "dev"), "folder": "/srv/bank"}
    loop.step(desired(behaves("park"), **other))
    loop.finish_errands()
    loop.step(desired(behaves("park"), **other))
    loop.step(desired(SLOW))
    loop.finish_errands()
    report = loop.step(desired(behaves("echo"), **other, prune_max=9))  # removes `park`, and with it what nobody needs

    assert {change.action for change in report.plan.changes} == {"deploy", "remove"}
    assert set(loop.platform.revisions) == {SLOW.revision}
    assert loop.step(desired(SLOW)).plan.actions == ()
    assert len(loop.held) == 1  # `echo` over there


class Bucketed(MemoryAdapter):
    """A platform that takes so many calls a minute, and says when to come back."""

    def __init__(self, platform: Platform, bucket: TokenBucket) -> None:
        super().__init__(platform)
        self.bucket = bucket

    def _start(self, order: Order) -> Outcome:
        try:
            self.bucket.take()
        except UnavailableError as error:
            return Refused(order.uid, "unavailable", str(error), again=True, retry_after=error.retry_after)
        return super()._start(order)


def test_a_platform_with_a_limit_gets_what_it_takes_and_others_go_on(tmp_path: Path) -> None:
    clock = HandClock()

    def seconds() -> float:
        return (clock.at - NOON).total_seconds()

    bucket = TokenBucket("slow", rate=0.1, burst=3, now=seconds)
    slow, fast = Platform(), Platform()
    world = World(tmp_path, platform=slow, clock=clock, adapters=lambda: {"memory": Bucketed(slow, bucket), "other": MemoryAdapter(fast)})
    flows = [behaves("echo"), behaves("echo", "quick", adapter="other")]
    runs = [*(a_run(f"r{number}", workflow="echo") for number in range(10)), *(a_run(f"q{number}", workflow="quick") for number in range(10))]
    taken = []
    for _ in range(200):
        report = world.run_pass(desired(*flows, *runs), eager=False)
        assert report is not None
        if not report.active:
            break
        taken.append((len(slow.journals), len(fast.journals)))
        clock.at = min((due for due in report.dues if due > clock.at), default=clock.at)  # without one, ends are still to be seen

    assert taken[0] == (3, 10)
    assert len(slow.journals) == 10
    assert clock.at - NOON >= timedelta(seconds=70)  # what is above the burst takes 10 s each
    assert all(data.count(b'"type":"claim"') == 1 for data in slow.journals.values())


MOVES = st.one_of(
    st.just("pass"),
    st.just("end one"),
    st.just("restart"),
    st.just("an hour"),
    st.tuples(st.just("edit"), st.sampled_from(["r1", "r2", "r3"])),
    st.tuples(st.just("fails"), st.sampled_from(["r1", "r2", "r3"]), st.booleans()),
    st.tuples(st.just("alter"), st.sampled_from(["r1", "r2", "r3"])),
    st.tuples(st.just("pause"), st.booleans()),
)


@settings(max_examples=200, deadline=None)
@given(moves=st.lists(MOVES, max_size=25))
def test_I11_whatever_fails_hangs_dies_and_is_edited_the_newest_state_is_reached_once_it_stops(moves: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        loop, revision = Loop(Path(folder)), "r1"

        def declared() -> Desired:
            return desired(behaves("echo", "w", revision), behaves("park"), a_run("a", workflow="w"), a_run("b", workflow="park"))

        for move in moves:
            match move:
                case "pass":
                    loop.step(declared())
                case "end one" if loop.held:
                    loop.held.pop(0)()
                case "restart":
                    loop.restart()
                case "an hour":
                    loop.later(3600)
                case ("edit", digest):
                    revision = digest
                case ("fails", digest, again):
                    loop.trouble.deploys[digest] = UnavailableError("away") if again else RejectedError("never")
                case ("alter", digest) if digest in loop.platform.revisions:
                    loop.platform.revisions[digest]["workflow.py"] = b"altered"
                case ("pause", on):
                    loop.trouble.calls = UnavailableError("429", retry_after=timedelta(minutes=1)) if on else None
        loop.trouble.calls, loop.trouble.deploys = None, {}
        loop.restart()
        loop.later(3600)
        for _ in range(3):
            loop.step(declared())
            loop.finish_errands()
        loop.step(declared())

        again = loop.step(declared())
        assert (again.plan.actions, again.plan.rejected, again.plan.drift, loop.world.writes) == ((), (), (), 0)
        assert loop.platform.revisions[revision] == {"workflow.py": b""}
        assert loop.run("a")["status"] == "completed"
        assert all(data.count(b'"type":"claim"') == 1 for data in loop.platform.journals.values())
