"""Manifests of runs that change, go, and come back."""

from tests.support.site import Site, eventually

EFFECT = """\
import os

def effect(text):
    fd = os.open(os.environ["EFFECTS"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(fd, (text + "\\n").encode())
    os.close(fd)

def workflow(input, ctx):
    ctx.step("work", lambda: effect(f"{ctx.run.id} {input}"))
    return input
"""


def test_a_finished_run_whose_manifest_goes_and_comes_back_does_not_run_again(site: Site) -> None:
    site.workflow("work", "work.py", EFFECT)
    site.start("once", "work", input=1)
    site.finish()

    (site.folder / "once.yaml").unlink()
    gone = site.pass_()
    site.start("once", "work", input=1)
    back = site.finish()

    assert "No changes" in gone.stdout
    assert "No changes" in back.stdout
    assert site.effects() == ["once 1"]


def test_a_finished_run_that_comes_back_with_another_input_is_rejected_and_stays_as_it_is(site: Site) -> None:
    site.workflow("work", "work.py", EFFECT)
    site.start("once", "work", input=1)
    site.finish()

    site.start("once", "work", input=2)
    plan = site.plan()
    site.finish(expect=1)

    assert plan["changes"] == []
    assert [(notice["object"], notice["reason"]) for notice in plan["rejected"]] == [("run/once", "edited-after-start")]
    assert site.effects() == ["once 1"]
    assert site.status("once")["output"] == 1


def test_a_new_rerun_token_runs_once_more_from_the_beginning_and_the_same_one_does_not(site: Site) -> None:
    site.workflow("work", "work.py", EFFECT)
    site.start("again", "work", input=1)
    site.finish()

    for token in ("a", "a", "b"):
        site.start("again", "work", input=1, rerun=token)
        site.finish()

    assert site.effects() == ["again 1"] * 3
    assert site.status("again")["incarnation"] == 3
    assert sorted(site.journals()) == ["again", "again~2", "again~3"]


def test_a_rerun_of_an_active_run_cancels_it_first(site: Site) -> None:
    site.gated()
    site.start("again", "gated", input=1)
    site.pass_()
    eventually(lambda: site.reached("again", "requested"))

    site.start("again", "gated", input=1, rerun="x")
    site.open_gate()
    site.finish("--timeout", "30s")

    ends = {name: records[-1]["status"] for name, records in site.journals().items()}
    assert ends["again~2"] == "completed"
    assert ends["again"] in ("canceled", "completed")  # it may pass the gate before it hears of it
    assert site.status("again")["incarnation"] == 2


def test_an_edit_of_a_running_run_is_rejected_and_the_run_is_not_touched(site: Site) -> None:
    site.gated()
    site.start("busy", "gated", input="first")
    site.pass_()
    eventually(lambda: site.reached("busy", "requested"))

    site.start("busy", "gated", input="second")
    shown = site.pass_(expect=1).stdout
    site.open_gate()
    site.finish(expect=1)

    assert "edited-after-start" in shown
    assert site.status("busy")["output"] == "v1 first"
    assert site.status("busy")["claims"] == 1


def test_I17_a_run_ends_on_the_revision_that_it_started_with(site: Site) -> None:
    site.gated()
    site.start("old", "gated", input=1)
    site.pass_()
    eventually(lambda: site.reached("old", "requested"))

    site.gated("v2")
    site.start("new", "gated", input=2)
    updated = site.pass_().stdout
    site.open_gate()
    site.finish()

    assert "code changed" in updated
    assert site.status("old")["output"] == "v1 1"
    assert site.status("new")["output"] == "v2 2"


def test_a_run_waits_for_the_runs_that_it_depends_on_and_is_skipped_if_one_of_them_fails(site: Site) -> None:
    site.workflow("work", "work.py", EFFECT)
    site.workflow("fail", "fail.py", "def workflow(input, ctx):\n    raise ValueError('no')\n")
    site.start("c", "work", input=3, dependsOn=["run/b"])
    site.start("b", "work", input=2, dependsOn=["run/a"])
    site.start("a", "work", input=1)
    site.start("never", "work", input=4, dependsOn=["run/fails"])
    site.start("nor-this", "work", input=5, dependsOn=["run/never"])
    site.start("fails", "fail")

    site.finish("--timeout", "15s", expect=5)

    assert site.effects() == ["a 1", "b 2", "c 3"]
    assert site.statuses() == {"a": "completed", "b": "completed", "c": "completed", "fails": "failed", "never": "skipped", "nor-this": "skipped"}
