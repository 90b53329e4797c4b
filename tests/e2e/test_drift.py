"""Drift on this machine: found by plan and pass, shown apart from changes, healed or reported."""

from pathlib import Path

import pytest

from tests.support.site import Site, eventually

CODE = "def workflow(input, ctx):\n    return ctx.step('say', lambda: 'as declared')\n"


def code_file(site: Site) -> Path:
    (found,) = (site.data / "exec/revisions").glob("*/code/hello.py")
    return found


def alter(site: Site) -> None:
    file = code_file(site)
    file.chmod(0o600)
    file.write_text(CODE.replace("as declared", "altered"))


def test_an_altered_revision_is_healed_by_a_pass_and_the_plan_says_so_before(site: Site) -> None:
    site.workflow("hello", "hello.py", CODE)
    site.pass_()
    alter(site)

    plan = site.plan("--detailed-exitcode", expect=2)
    (notice,) = plan["drift"]
    assert (notice["object"], notice["reason"], plan["summary"]["drift"]) == ("workflow/hello", "altered", 1)
    assert "code/hello.py was changed" in notice["message"]
    assert [(change["name"], change["action"]) for change in plan["changes"]] == [("hello", "heal")]
    text = site.cli.run("plan", str(site.folder)).stdout
    assert "Drift:" in text
    assert "1 drift" in text

    site.start("a", "hello")
    site.finish()
    assert site.status("a")["output"] == "as declared"
    assert site.plan("--detailed-exitcode")["drift"] == []


def test_reported_drift_is_no_change(site: Site) -> None:
    site.workflow("hello", "hello.py", CODE, drift="report")
    site.pass_()
    alter(site)

    plan = site.plan("--detailed-exitcode", expect=0)
    assert [notice["reason"] for notice in plan["drift"]] == ["altered"]
    assert "Drift:" in site.pass_().stdout
    assert "altered" in code_file(site).read_text()
    assert "drift" in site.cli.run("status", "workflow/hello").stdout


@pytest.mark.parametrize("policy", ["mend", "Heal", True])
def test_a_policy_that_is_unknown_is_an_error_at_its_line(site: Site, policy: object) -> None:
    site.workflow("hello", "hello.py", CODE, drift=policy)

    assert "drift" in site.cli.run("validate", str(site.folder), expect=3).stdout


def test_a_run_that_is_in_its_worker_goes_on_while_its_revision_is_healed(site: Site) -> None:
    site.gated()
    site.start("a", "gated")
    site.pass_()
    eventually(lambda: site.reached("a", "requested", key="gate"))
    (file,) = (site.data / "exec/revisions").glob("*/code/gated.py")
    file.chmod(0o600)
    file.write_text("broken")
    healed = site.pass_()
    site.open_gate()
    site.finish()

    assert "heal" in healed.stdout
    view = site.status("a")
    assert (view["status"], view["claims"]) == ("completed", 1)
