"""`state check|backup|restore|rebuild`: the state as a whole, looked at, taken along, put back."""

import json
import os
import shutil
import sqlite3
import tarfile
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from reconciler.assets import asset
from tests.support.broken import ECHO, failures
from tests.support.cli import Cli
from tests.support.site import Site, eventually

SLEEPER = """\
import os

def effect(name):
    fd = os.open(os.environ["EFFECTS"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(fd, f"{name}\\n".encode())
    os.close(fd)

def workflow(input, ctx):
    ctx.step("before", lambda: effect("before"))
    with open(os.path.join(ctx.run.folder, "note"), "w") as file:
        file.write("kept")
    data = ctx.wait_for_signal("go")
    ctx.step("after", lambda: effect("after"))
    return [data, open(os.path.join(ctx.run.folder, "note")).read()]
"""
SETTINGS = "adapters: {exec: {linger: 1ms}}\n"


def state(site: Site, *words: str, expect: int = 0, cli: Cli | None = None) -> Any:
    """Run a `state` command and return what it shows, which fits its schema."""
    shown = (cli or site.cli).run("state", *words, "--json", expect=expect).json
    jsonschema.Draft7Validator(json.loads(asset("schemas", "state.schema.json").read_text())).validate(shown)
    return shown


def elsewhere(site: Site, name: str) -> Cli:
    """The command line over another data folder of the same home."""
    return Cli(site.home, site.home / name, cwd=site.folder, env=site.cli.env)


@pytest.fixture
def used(site: Site) -> Site:
    """An installation with one finished run and one that is parked."""
    site.settings(SETTINGS)
    site.workflow("echo", "echo.py", ECHO)
    site.workflow("sleeper", "sleeper.py", SLEEPER)
    site.start("done", "echo")
    site.start("asleep", "sleeper")
    site.finish("--until", "parked")
    eventually(lambda: not site.processes())
    return site


def parked(site: Site, cli: Cli) -> bool:
    return bool(cli.run("status", "asleep", "--json").json["reason"] == "parked")


# check


def test_a_whole_state_is_whole(used: Site) -> None:
    found = state(used, "check")

    assert found["ok"]
    assert found["counts"]["by_status"] == {"completed": 1, "waiting": 1}
    assert found["counts"] == {"tombstones": 0, "journals": 2, "runs": 2, "revisions": 2, "by_status": found["counts"]["by_status"]}


def wreck(site: Site, what: str) -> None:
    """Break one thing of an installation."""
    runs = site.data / "exec" / "runs"
    (asleep,) = [path for path in runs.glob("*.journal.jsonl") if b'"asleep"' in path.read_bytes()]
    with sqlite3.connect(site.data / "state.db") as db:
        if what == "orphan":
            shutil.copy(asleep, runs / "abcdefghij0123456789.journal.jsonl")
        elif what == "no journal":
            asleep.unlink()
        elif what == "damaged journal":
            asleep.write_bytes(asleep.read_bytes().replace(b"before", b"bef0re", 1))
        elif what == "dangling":
            db.execute("UPDATE runs SET completed_at = created_at WHERE name = 'asleep'")
        elif what == "no revision":
            shutil.rmtree(site.data / "exec" / "revisions" / json.loads(asleep.read_text().split("\n")[0][9:])["revision"])
        elif what == "tombstones":
            (site.data / "tombstones.jsonl").write_text("nonsense\n")
    db.close()
    if what == "database":
        (site.data / "state.db").write_bytes(b"nonsense" * 1000)


@pytest.mark.parametrize(
    ("what", "check", "says"),
    [
        ("orphan", "exec run files", "1 belong to no known run: abcdefghij0123456789"),
        ("no journal", "exec journals", "has files and no journal"),
        ("damaged journal", "exec journals", "the CRC does not fit"),
        ("dangling", "rows", "run asleep has an end and has not ended"),
        ("no revision", "exec revisions", "missing"),
        ("tombstones", "tombstones", "1 lines that cannot be read"),
        ("database", "database", "is damaged"),
    ],
)
def test_what_is_wrong_is_named_with_what_to_do(used: Site, what: str, check: str, says: str) -> None:
    wreck(used, what)

    found = state(used, "check", expect=1)
    text = used.cli.run("state", "check", expect=1).stdout

    wrong = {item["check"]: item for item in found["checks"] if not item["ok"]}
    assert list(wrong) == [check]
    assert says in wrong[check]["found"]
    assert wrong[check]["advice"]
    assert says in text


# rebuild


def test_a_rebuild_by_command_brings_back_what_was_there_and_keeps_the_old_database(used: Site) -> None:
    before = used.statuses()

    found = state(used, "rebuild")

    assert found["by_status"] == {"completed": 1, "waiting": 1}
    assert Path(found["moved_aside"]).read_bytes()[:6] == b"SQLite"
    assert used.statuses() == before
    assert used.pass_().exit == 0
    assert sorted(used.effects()) == ["before", "echo"]
    assert state(used, "check")["ok"]


# backup and restore


def test_a_backup_carries_on_in_another_folder_and_the_old_one_refuses(used: Site) -> None:
    file = used.home / "all.tar"
    there = elsewhere(used, "other")

    made = state(used, "backup", str(file))
    done = state(used, "restore", str(file), cli=there)
    refused = used.pass_(expect=6)
    there.run("signal", "asleep", "go", "--data", "7")
    there.run("reconcile", "--once", "--wait", str(used.folder))

    assert (made["counts"]["unfinished"], made["counts"]["tombstones"], made["closed"]) == (1, 1, False)
    assert (done["newer_journals"], done["moved_aside"], done["closed"]) == (1, None, str(used.data))  # the journal of the run that had ended
    assert f"restored into {used.home / 'other'}" in refused.stderr
    assert there.run("status", "asleep", "--json").json["output"] == [7, "kept"]
    assert there.run("status", "done", "--json").json["status"] == "completed"
    assert sorted(used.effects()) == ["after", "before", "echo"]
    assert state(used, "check", cli=there)["ok"]
    assert used.statuses() == {"asleep": "waiting", "done": "completed"}  # looking is allowed


def test_what_happened_after_the_backup_counts(used: Site) -> None:
    file = used.home / "all.tar"
    state(used, "backup", str(file))
    used.start("later", "echo")
    used.cli.run("signal", "asleep", "go", "--data", "7")
    used.finish()
    before = used.effects()

    done = state(used, "restore", str(file))
    used.finish()

    assert done["newer_journals"] == 3
    assert used.statuses() == {"asleep": "completed", "done": "completed", "later": "completed"}
    assert used.effects() == before
    assert (Path(done["moved_aside"]) / "fenced").exists()
    assert used.status("asleep")["output"] == [7, "kept"]


def test_a_finished_run_is_never_run_again_after_a_restore_and_the_loss_of_its_database(used: Site) -> None:
    file = used.home / "all.tar"
    there = elsewhere(used, "other")
    state(used, "backup", str(file))
    state(used, "restore", str(file), cli=there)
    (used.home / "other" / "state.db").unlink()

    there.run("reconcile", "--once", str(used.folder))

    assert sorted(used.effects()) == ["before", "echo"]
    assert there.run("status", "done", "--json").json["status"] == "completed"


def test_a_moved_place_is_closed_until_somebody_opens_it_again(used: Site) -> None:
    file = used.home / "all.tar"

    state(used, "backup", str(file), "--move")
    refused = used.pass_(expect=6)
    used.cli.run("state", "restore", "--here")
    used.pass_()

    assert "moved to" in refused.stderr
    assert "state restore --here" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) <= 2


def test_a_backup_is_made_beside_a_pass_that_holds_the_lock_and_beside_living_workers(site: Site) -> None:
    site.settings(SETTINGS)
    site.gated()
    for number in range(3):
        site.start(f"g{number}", "gated")
    loop = site.spawn("reconcile", "--once", "--wait", str(site.folder))
    eventually(lambda: sum(site.reached(f"g{number}", "requested") for number in range(3)) == 3)

    made = state(site, "backup", str(site.home / "all.tar"))
    refused = elsewhere(site, "other").run("state", "restore", str(site.home / "all.tar"), expect=1)
    touched = (site.home / "other" / "state.db").exists()
    site.open_gate()
    loop.communicate(timeout=30)
    eventually(lambda: not site.processes())
    done = state(site, "restore", str(site.home / "all.tar"), cli=elsewhere(site, "other"))

    assert made["counts"]["unfinished"] == 3
    assert "3 in" in refused.stderr
    assert not touched
    assert loop.returncode == 0
    assert done["newer_journals"] == 3


def test_a_backup_that_is_not_whole_is_refused_and_nothing_is_touched(used: Site) -> None:
    file = used.home / "all.tar"
    state(used, "backup", str(file))
    whole = file.read_bytes()
    before = sorted(path.name for path in used.data.iterdir() if path.suffix != ".lock")

    for number, data in enumerate((whole[: len(whole) // 2], whole.replace(b"before", b"bef0re", 1), b"", b"text" * 999, whole[:512])):
        bad = used.home / f"bad-{number}.tar"
        bad.write_bytes(data)
        told = used.cli.run("state", "restore", str(bad), expect=1).stderr
        assert "Traceback" not in told
        assert str(bad) in told

    assert sorted(path.name for path in used.data.iterdir() if path.suffix != ".lock") == before
    used.pass_()


def test_a_file_name_that_leaves_the_folder_is_refused(used: Site) -> None:
    bad = used.home / "bad.tar"
    with tarfile.open(bad, "w") as archive:
        info = tarfile.TarInfo("../escaped")
        archive.addfile(info)

    assert "../escaped" in used.cli.run("state", "restore", str(bad), expect=1).stderr
    assert not (used.home / "escaped").exists()


def test_a_restore_that_was_killed_is_closed_and_done_again(used: Site) -> None:
    file = used.home / "all.tar"
    state(used, "backup", str(file))
    (used.data / "fenced").write_text(f"a restore of {file} was not finished: run it again\n")

    assert "run it again" in used.pass_(expect=6).stderr
    assert "run it again" in used.cli.run("state", "restore", "--here", expect=1).stderr
    state(used, "restore", str(file))

    used.pass_()
    assert used.statuses() == {"asleep": "waiting", "done": "completed"}


# another machine


@pytest.mark.skipif(not Path("/etc/machine-id").exists(), reason="nothing stands for this machine")
def test_a_data_folder_of_another_machine_goes_on_only_when_a_person_says_so_or_in_ci(used: Site) -> None:
    used.cli = Cli(used.home, used.data, cwd=used.folder, env={**used.cli.env, "CI": ""})
    (used.data / "machine").write_text("0123456789abcdef\n")
    before = sorted(path.name for path in used.data.iterdir())

    refused = used.pass_(expect=6)
    looked = used.statuses()
    told = failures(used)
    in_ci = Cli(used.home, used.data, cwd=used.folder, env={**used.cli.env, "CI": "true"}).run("reconcile", "--once", str(used.folder))
    (used.data / "machine").write_text("0123456789abcdef\n")
    state(used, "restore", "--here")
    used.pass_()

    assert "belongs to another machine" in refused.stderr
    assert "owner" in told
    assert sorted(path.name for path in used.data.iterdir()) == before
    assert looked == {"asleep": "waiting", "done": "completed"}
    assert "goes on here (CI)" in in_ci.stderr


def test_words_that_mean_nothing_are_named(used: Site) -> None:
    for words in (["repair"], ["backup"], ["check", "x"], ["check", "--move"], ["rebuild", "--here"], ["restore"]):
        assert used.cli.run("state", *words, expect=64).stderr.startswith("error: state")
    assert os.listdir(used.data)
