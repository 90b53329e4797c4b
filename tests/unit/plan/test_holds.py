"""Whether the pass of a whole folder may go."""

from typing import Any

import pytest

from reconciler.model import Standing
from reconciler.plan.holds import Claimant, holds, remembered
from reconciler.recorded import KnownPlace
from tests.support.builders import FOLDER, PLACE, desired

COMMIT = "4f0c" * 10


def on(branch: str, *also: str, operation: str = "") -> Standing:
    """A work tree on a branch; without one detached, at a commit that is on those `also` named."""
    return Standing("/srv", branch, COMMIT, frozenset({*also, branch} - {""}), operation)


def was_on(*branches: str) -> KnownPlace:
    return KnownPlace(PLACE, "", FOLDER, frozenset(branches))


def reasons(standing: Standing | None, known: KnownPlace | None = None, *, accept: bool = False, **facts: Any) -> list[str]:
    return [notice.reason for notice in holds(desired(**facts), standing, known, None, accept_branch=accept)]


@pytest.mark.parametrize(
    ("standing", "known", "held"),
    [
        (None, was_on("main"), []),
        (on("main"), None, []),
        (on("main"), was_on(), []),
        (on("main"), was_on("main"), []),
        (on("other"), was_on("main"), ["branch-changed"]),
        (on("", "main"), was_on("main"), []),
        (on("", "main", "other"), was_on("main"), []),
        (on("", "other"), was_on("main"), ["branch-changed"]),
        (on(""), was_on("main"), ["branch-changed"]),
        (on("main"), was_on("main", "other"), []),
        (on(""), was_on(), []),
    ],
)
def test_another_branch_than_before_is_held(standing: Standing | None, known: KnownPlace | None, held: list[str]) -> None:
    assert reasons(standing, known) == held
    assert reasons(standing, known, accept=True) == []


@pytest.mark.parametrize(
    ("standing", "known", "held"),
    [
        (on("main"), None, []),
        (on("", "main", "other"), None, []),
        (on("other"), None, ["wrong-branch"]),
        (on("other"), was_on("other"), ["wrong-branch"]),
        (on(""), None, ["wrong-branch"]),
        (on("main"), was_on("other"), ["branch-changed"]),
    ],
)
def test_a_project_that_names_its_branch_is_carried_out_on_that_one_only(standing: Standing, known: KnownPlace | None, held: list[str]) -> None:
    assert reasons(standing, known, branch="main") == held
    assert reasons(standing, known, branch="main", accept=True) == []


@pytest.mark.parametrize(
    "operation", ["merge-in-progress", "rebase-in-progress", "cherry-pick-in-progress", "revert-in-progress", "bisect-in-progress", "git-busy"]
)
def test_nothing_lets_a_half_made_work_tree_through(operation: str) -> None:
    assert reasons(on("main", operation=operation), was_on("main")) == [operation]
    assert reasons(on("main", operation=operation), was_on("main"), accept=True) == [operation]


def test_what_a_detached_head_may_be_is_narrowed_down() -> None:
    assert remembered(desired(), on("", "main", "other"), None) == {"main", "other"}
    assert remembered(desired(), on("", "main", "new"), was_on("main", "other")) == {"main"}
    assert remembered(desired(), on("main"), was_on("main")) == {"main"}
    assert remembered(desired(), on("other"), was_on("main")) == {"other"}  # it was accepted
    assert remembered(desired(), on(""), was_on()) == frozenset()


def test_a_branch_that_was_let_through_once_is_not_the_projects_branch() -> None:
    assert remembered(desired(branch="main"), on("other"), was_on("main")) == {"main"}
    assert remembered(desired(branch="main"), on("", "main", "other"), None) == {"main"}


def test_the_second_folder_of_a_project_is_told_both_paths_and_four_lines_to_paste() -> None:
    (held,) = holds(desired(), None, was_on(), Claimant("/home/ana/shop", "shop-2"), accept_branch=True)

    first, *lines = held.message.splitlines()
    assert (held.object, held.reason) == ("project/shop", "another-folder")
    assert "/home/ana/shop holds shop/dev already" in first
    assert f"{FOLDER} claims it too" in first
    assert lines == ["apiVersion: ty-openworkflow/v1", "kind: Project", "metadata:", "  name: shop-2"]
