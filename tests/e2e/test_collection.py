"""`keep` on a real platform: files go, what is told of a run stays, and it is never run again."""

import sqlite3

from tests.support.broken import ECHO
from tests.support.site import Site


def age(site: Site) -> None:
    """Make every run have ended long ago."""
    with sqlite3.connect(site.data / "state.db") as db:
        db.execute("UPDATE runs SET completed_at = '2020-01-01T00:00:00.000Z' WHERE completed_at IS NOT NULL")
        db.execute("UPDATE keeps SET due_at = '2020-01-01T00:00:00.000Z'")
    db.close()


def test_the_files_of_a_collected_run_go_and_it_is_told_what_became_of_it(site: Site) -> None:
    site.workflow("echo", "echo.py", ECHO, keep={"completed": "30d"})
    site.start("one", "echo", input={"a": 1})
    site.finish()
    fresh = site.finish()
    age(site)

    collected = site.pass_()
    again = site.pass_()
    view = site.status("one")

    assert "No changes" in fresh.stdout + collected.stdout + again.stdout
    assert list((site.data / "exec" / "runs").iterdir()) == []
    assert (view["status"], view["output"], view["steps"]) == ("completed", None, [])
    assert "as `keep` says" in view["metadata"]["message"]
    assert site.effects() == ["echo"]
    assert site.cli.run("state", "check", "--json").json["counts"]["tombstones"] == 1
    assert site.cli.run("logs", "one").stdout == ""
    assert "journal of run 'one' is gone" in site.cli.run("rerun", "one", "--from", "echo", expect=1).stderr
    (site.folder / "one.yaml").unlink()
    assert "was collected" in site.cli.run("rerun", "one", expect=1).stderr
    site.start("one", "echo", input={"a": 1})
    site.finish()
    assert site.effects() == ["echo"]
    site.start("one", "echo", input={"a": 1}, rerun="again")
    site.finish()
    assert site.effects() == ["echo", "echo"]


def test_keep_is_no_longer_remarked_and_removing_it_keeps_what_is_left(site: Site) -> None:
    site.workflow("echo", "echo.py", ECHO, keep={"completed": "30d"})
    assert site.cli.run("validate", str(site.folder)).stdout.endswith("0 warnings, 0 documents of others\n")
    site.start("one", "echo")
    site.finish()
    age(site)
    site.workflow("echo", "echo.py", ECHO)

    site.pass_()

    assert len(list((site.data / "exec" / "runs").glob("*.journal.jsonl"))) == 1
