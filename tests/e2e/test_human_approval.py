"""A run that waits for a person's approval: what is shown of it, and how it ends."""

from typing import Any

import pytest

from tests.e2e.test_output_schemas import check
from tests.support.site import Site, eventually

SETTINGS = "park_after: 200ms\nadapters: {{exec: {{linger: {linger}}}}}\n"
ASK = {
    "python": (
        "ask.py",
        """\
def workflow(input, ctx):
    approval = {"title": f"Upgrade {input['host']}?", "description": "drain\\nupgrade"}
    answer = ctx.wait_for_signal("go ahead", timeout=input.get("timeout"), approval=approval)
    return {"answer": answer}
""",
    ),
    "node": (
        "ask.js",
        """\
async function workflow(input, { waitForSignal }) {
  const approval = { title: `Upgrade ${input.host}?`, description: "drain\\nupgrade" };
  return { answer: await waitForSignal("go ahead", { timeout: input.timeout, approval }) };
}
""",
    ),
}
TWO = """\
def workflow(input, ctx):
    def ask(name):
        return ctx.wait_for_signal("go", name=name, approval={"title": f"Fine with {name}?"})
    return ctx.parallel(lambda: ask("legal"), lambda: ask("security"))
"""
MESSAGE = """waits for approval: Upgrade db1?: `ty-openworkflow signal up 'go ahead' --data '{"approved": true}'`"""
languages = pytest.mark.parametrize("language", ASK)


def asking(site: Site, language: str, *, linger: str = "50ms", **more: Any) -> None:
    """Declare a run that asks for an approval."""
    site.settings(SETTINGS.format(linger=linger))
    site.workflow("ask", *ASK[language])
    site.start("up", "ask", input={"host": "db1", **more.pop("input", {})}, **more)


@languages
def test_status_shows_the_question_and_what_to_type_and_a_signal_answers_it(site: Site, language: str) -> None:
    asking(site, language)
    site.pass_("--until", "parked")

    view, text, screen = site.status("up"), site.cli.run("status", "up").stdout, site.cli.run("status", "--json").json
    check("status", view)
    check("overview", screen)
    assert (view["status"], view["reason"], view["metadata"]["message"]) == ("waiting", "approval", MESSAGE)
    assert [(step["kind"], step["status"], step["approval"]) for step in view["steps"]] == [
        ("signal", "waiting", {"title": "Upgrade db1?", "description": "drain\nupgrade"})
    ]
    assert view["waits_for"] == [{"object": "signal go ahead", "what": "approval", "status": "not given yet"}]
    assert "\n  waits for approval: Upgrade db1?: `ty-openworkflow " in text  # with the options that this data folder needs
    assert """ signal up 'go ahead' --data '{"approved": true}'`\n""" in text
    assert [(one["object"], one["reason"], one["message"]) for one in screen["attention"]] == [("run/up", "approval", MESSAGE)]
    assert site.plan()["changes"] == []
    site.cli.run("signal", "up", "go ahead", "--data", '{"approved": true}')
    site.cli.run("wait", "up")
    assert site.status("up")["output"] == {"answer": {"approved": True}}
    assert site.cli.run("status", "--json").json["attention"] == []


@languages
def test_nobody_answers_within_the_timeout(site: Site, language: str) -> None:
    asking(site, language, input={"timeout": "1s"})

    site.finish()

    view = site.status("up")
    assert (view["output"], view["claims"], view["waits_for"]) == ({"answer": None}, 2, [])
    assert view["steps"][0]["approval"] == {"title": "Upgrade db1?", "description": "drain\nupgrade"}


def test_an_approval_that_is_due_before_the_next_pass_is_overdue(site: Site) -> None:
    asking(site, "python", input={"timeout": "1s"})
    site.pass_()
    eventually(lambda: site.reached("up", "parked"))

    overdue = eventually(lambda: (view := site.status("up"))["metadata"]["overdue"] and view)

    assert (overdue["status"], overdue["reason"]) == ("waiting", "overdue")


def test_an_approval_may_come_with_the_manifest(site: Site) -> None:
    asking(site, "python")
    site.pass_("--until", "parked")

    asking(site, "python", signals={"go ahead": {"approved": True, "by": "ana"}})
    site.finish()

    assert site.status("up")["output"] == {"answer": {"approved": True, "by": "ana"}}


def test_a_run_that_asks_holds_its_worker_until_it_parks(site: Site) -> None:
    asking(site, "python", linger="1h")
    site.pass_()
    view = eventually(lambda: (view := site.status("up"))["reason"] == "approval" and view)

    live = site.cli.run("status", "workflow/ask", "--json").json["concurrency"]["in_use"]

    assert (view["status"], view["metadata"]["parked"], live) == ("waiting", False, 1)
    site.cli.run("cancel", "up", "--wait", expect=None)
    ended = site.status("up")
    assert (ended["status"], ended["steps"][0]["status"]) == ("canceled", "abandoned")


def test_the_first_of_several_questions_is_shown_and_the_others_are_counted(site: Site) -> None:
    site.settings(SETTINGS.format(linger="50ms"))
    site.workflow("two", "two.py", TWO)
    site.start("pair", "two")
    site.pass_("--until", "parked")

    both = site.status("pair")["metadata"]["message"]
    site.cli.run("signal", "pair", "go", "--data", "1")
    one = eventually(lambda: (view := site.status("pair"))["steps"][0]["status"] == "completed" and view["reason"] == "approval" and view)
    site.cli.run("signal", "pair", "go", "--data", "2")
    site.cli.run("wait", "pair")

    assert both == """waits for approval: Fine with legal? (and 1 more): `ty-openworkflow signal pair go --data '{"approved": true}'`"""
    assert one["metadata"]["message"].startswith("waits for approval: Fine with security?: ")
    assert site.status("pair")["output"] == [1, 2]
