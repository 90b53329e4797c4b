"""A plan as a comment on a pull request."""

import re

from reconciler.actions import Deploy, Notice, Plan
from reconciler.markdown import code, plan_markdown
from reconciler.model import Problem, Source
from reconciler.plan.approval import digest_of_plan
from reconciler.plan.workflows import revision_of
from tests.support.builders import PLACE, a_workflow, desired

SOURCE = {"folder": "flows", "project": "shop", "environment": "dev", "branch": "main", "commit": "4f0c" * 10, "dirty": False}


def deploys(count: int) -> Plan:
    workflows = [a_workflow(f"w{number}") for number in range(count)]
    return Plan(tuple(Deploy(item, revision_of(item), "create", "python on memory") for item in workflows), unchanged=3)


def test_a_plan_is_a_mark_a_headline_a_table_and_a_footer() -> None:
    lines = plan_markdown(desired(), deploys(1), SOURCE)

    assert lines[0] == "<!-- ty-openworkflow plan shop/dev -->"
    assert lines[1] == "### Plan for `shop/dev`: 1 change"
    assert f"`flows` at `main@4f0c4f0c4f0c`, digest `{digest_of_plan(PLACE, deploys(1))[:16]}`" in lines
    assert "| `+` | `workflow/w0` | deploy | `python on memory` | `w0.yaml:1` |" in lines
    assert lines[-1] == "3 objects unchanged."
    assert plan_markdown(desired(), Plan(), SOURCE)[1] == "### Plan for `shop/dev`: no changes"


def test_what_is_rejected_held_drifted_and_invalid_is_never_left_out() -> None:
    plan = Plan(
        rejected=(Notice("run/a", "edited-after-start", "input changed", Source("a.yaml", 3)),),
        held=(Notice("run/b", "prune-held", "not pruned"),),
        drift=(Notice("workflow/c", "altered", "its revision was altered"),),
    )
    text = "\n".join(plan_markdown(desired(problems=(Problem("x.yaml", 1, 1, "/spec", "no"),)), plan, SOURCE))

    assert "no changes, 1 rejected, 1 held, 1 drifted, 1 invalid" in text
    for part in ("`run/a` | `edited-after-start`", "`run/b` | `prune-held`", "`workflow/c` | `altered`", "| `x.yaml:1` | `/spec: no` |"):
        assert part in text
    assert f"`ty-openworkflow reconcile --once --approve {digest_of_plan(PLACE, plan)[:16]} flows`" in text


def test_a_long_part_is_folded_and_a_very_long_one_counted() -> None:
    folded, long = plan_markdown(desired(), deploys(20), SOURCE), plan_markdown(desired(), deploys(5000), SOURCE)

    assert "<details><summary><b>Changes</b> (20)</summary>" in folded
    assert "… and 4900 more, which `plan` shows." in long
    assert len("\n".join(long)) < 65_536


def test_a_comment_is_never_longer_than_one_may_be() -> None:
    notices = tuple(Notice(f"run/r{number}", "edited-after-start", "m" * 1000, Source("f" * 1000, 1)) for number in range(1000))

    text = "\n".join(plan_markdown(desired(), Plan(rejected=notices, held=notices, drift=notices), SOURCE))

    assert len(text) < 65_536
    assert "1000 rejected, 1000 held, 1000 drifted" in text


def test_nothing_of_a_user_becomes_markup_a_mention_or_a_column() -> None:
    assert code("a|b `c` @team <b>\n#1\x1b[0m") == "`a\\|b 'c' @team <b> #1\\x1b[0m`"
    assert code("") == ""
    assert re.fullmatch(r"`[^`]*…`", code("x" * 1000))
    assert not re.search(r"(?<!\\)\|", code("|" * 1000))
