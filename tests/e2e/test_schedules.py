"""Schedules, by the real command line; the past is made by moving what the database says has been looked at."""

import os
import sqlite3
import subprocess
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support.site import Site, eventually

EFFECT = """\
import os

def effect(line):
    fd = os.open(os.environ["EFFECTS"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(fd, (line + "\\n").encode())
    os.close(fd)

def workflow(input, ctx):
    ctx.step("work", lambda: effect(ctx.run.id))
    return input
"""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAYS = timedelta(days=30)


def stamp(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def latest_slot() -> datetime:
    """Return the last slot of `every: 30d`."""
    return EPOCH + (datetime.now(UTC) - EPOCH) // DAYS * DAYS


def look_back(site: Site, number: int, name: str = "%") -> list[datetime]:
    """Let a number of slots of schedules that are due every 30 days be due now, and return them."""
    last = latest_slot()
    since = last - number * DAYS
    with closing(sqlite3.connect(site.data / "state.db")) as db, db:
        values = (stamp(since), stamp(since + DAYS), name)
        assert db.execute("UPDATE schedules SET since = ?, next_at = ? WHERE name LIKE ?", values).rowcount
    return [since + (count + 1) * DAYS for count in range(number)]


def monthly(site: Site, name: str = "monthly", **spec: Any) -> None:
    site.declare("Schedule", name, {"every": "30d", "run": {"workflow": "work", "input": {"day": "${slot.date}"}}, **spec})


def run_name(schedule: str, slot: datetime) -> str:
    return f"{schedule}-{slot:%Y%m%dt%H%Mz}"


@pytest.fixture
def scheduled(site: Site) -> Site:
    """Return a site with a schedule that a pass has seen, whose next slot is days away."""
    site.workflow("work", "work.py", EFFECT)
    monthly(site)
    site.pass_()
    return site


def test_a_due_slot_is_shown_by_plan_started_by_a_pass_and_waited_for(scheduled: Site) -> None:
    (slot,) = look_back(scheduled, 1)
    name = run_name("monthly", slot)

    plan = scheduled.plan()
    done = scheduled.finish()

    assert [(change["kind"], change["name"], change["action"]) for change in plan["changes"]] == [("run", name, "start")]
    assert f"run/{name}  completed" in done.stdout
    assert f"The next slot is that of schedule/monthly at {stamp(slot + DAYS)[:19]}Z" in done.stderr
    view = scheduled.status(name)
    assert (view["output"], view["metadata"]["owner"]) == ({"day": f"{slot:%Y-%m-%d}"}, "schedule/monthly")
    assert view["metadata"]["schedule"] == {"name": "monthly", "slot": stamp(slot)}
    assert f"slot        {stamp(slot)} of schedule/monthly" in scheduled.cli.run("status", name).stdout
    assert "No changes" in scheduled.pass_().stdout


def test_status_and_list_tell_when_it_comes_and_what_became_of_its_slots(scheduled: Site) -> None:
    slots = look_back(scheduled, 3)
    scheduled.finish()

    view = scheduled.cli.run("status", "schedule/monthly", "--json").json
    (listed,) = scheduled.cli.run("list", "schedules", "--json").json
    text = scheduled.cli.run("status", "monthly").stdout
    row = scheduled.cli.run("list", "schedules").stdout.splitlines()[1].split()

    assert view | {"next": []} == listed | {"next": []}
    assert [slot["at"] for slot in view["next"]] == [stamp(slots[-1] + count * DAYS) for count in range(1, 6)]
    assert (view["last_slot"], view["last_successful_slot"]) == (stamp(slots[-1]), stamp(slots[-1]))
    assert (view["missed"], view["skipped"], view["active"]) == (2, {"missed": 2}, [])
    assert view["conditions"][0] | {"since": ""} == {"type": "Ready", "status": "True", "reason": "armed", "message": "", "since": ""}
    assert sum(f"{slots[-1] + count * DAYS:%Y-%m-%dT%H:%M:%SZ}" in text for count in range(1, 6)) == 5
    assert row[:4] == ["monthly", "armed", "every", "30d"]


def test_the_next_slots_are_shown_in_the_zone_and_in_utc(scheduled: Site) -> None:
    scheduled.declare("Schedule", "monthly", {"cron": "30 2 * * 1-5", "timeZone": "Asia/Kathmandu", "run": {"workflow": "work"}})
    scheduled.pass_()

    following = scheduled.cli.run("status", "schedule/monthly", "--json").json["next"]

    assert len(following) == 5
    for slot in following:
        at, local = datetime.fromisoformat(slot["at"]), datetime.fromisoformat(slot["local"])
        assert (at, f"{local:%H:%M%z}", f"{at:%H:%M}", local.isoweekday() <= 5) == (local, "02:30+0545", "20:45", True)


def test_start_runs_it_now_and_leaves_its_slots_alone(scheduled: Site) -> None:
    before = scheduled.cli.run("status", "schedule/monthly", "--json").json

    started = scheduled.cli.run("start", "schedule/monthly", "--wait", "--json").json
    plain = scheduled.cli.run("start", "schedule/monthly", "--as", "by-hand", "--wait")

    assert (started["status"], started["metadata"]["schedule"]["manual"]) == ("completed", True)
    assert plain.stdout.splitlines()[0] == "by-hand"
    assert scheduled.cli.run("status", "schedule/monthly", "--json").json == before | {"next": before["next"]}
    assert scheduled.cli.run("start", "schedule/monthly", "--as", "by-hand", expect=1).stderr.count("is there already") == 1
    assert sorted(scheduled.effects()) == sorted([started["id"], "by-hand"])


def test_backfill_starts_each_slot_once_however_often_it_is_asked_for(scheduled: Site) -> None:
    last = latest_slot()
    slots = [last - count * DAYS for count in (3, 2, 1)]
    span = ("--from", f"{slots[0]:%Y-%m-%dT%H:%MZ}", "--to", f"{slots[-1]:%Y-%m-%d}")

    planned = scheduled.cli.run("start", "schedule/monthly", *span, "--dry-run", "--json").json
    assert scheduled.statuses() == {}
    done = scheduled.cli.run("start", "schedule/monthly", *span, "--wait")
    again = scheduled.cli.run("start", "schedule/monthly", *span, "--json").json
    look_back(scheduled, 2)
    scheduled.finish()

    names = [run_name("monthly", slot) for slot in slots]
    assert [(made["id"], made["slot"], made["action"]) for made in planned] == [(run_name("monthly", slot), stamp(slot), "start") for slot in slots]
    assert "3 slots, 3 are started, as there is room, 0 had a run before" in done.stdout
    assert [made["action"] for made in again] == ["exists"] * 3
    assert scheduled.effects() == [*names, run_name("monthly", last)]  # one after another, and the one that was backfilled did not run again
    assert scheduled.status(names[0])["metadata"]["schedule"] == {"name": "monthly", "slot": stamp(slots[0]), "backfill": True}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--to", "2026-01-01"), "--to and --dry-run go with --from"),
        (("--from", "yesterday"), "--from yesterday: write an instant such as 2026-11-22"),
        (("--from", "2026-02-01", "--to", "2026-01-01"), "is before --from"),
        (("--from", "2026-01-01", "--to", "2999-01-01"), "is still to come"),
        (("-i", "{}"), "-i is not for schedules"),
        (("--from", "2026-01-01", "--as", "x"), "--as is for one run"),
    ],
)
def test_what_makes_no_sense_of_a_schedule_is_a_usage_error(scheduled: Site, words: tuple[str, ...], message: str) -> None:
    refused = scheduled.cli.run("start", "schedule/monthly", *words, expect=64)

    assert message in refused.stderr
    assert len(refused.stderr.splitlines()) == 1


def test_what_is_not_there_is_an_error_with_what_to_type(scheduled: Site) -> None:
    for words in (("status", "schedule/nightly"), ("start", "schedule/nightly"), ("start", "schedule/nightly", "--from", "2026-01-01")):
        told = scheduled.cli.run(*words, expect=1).stderr
        assert f"there is no schedule 'nightly' here: `ty-openworkflow --data-dir {scheduled.data} list schedules`" in told
    assert "--from, --to and --dry-run are for schedules" in scheduled.cli.run("start", "work", "--dry-run", expect=64).stderr


def test_a_schedule_of_the_local_folder_is_deleted_by_command_and_one_of_a_person_is_not(scheduled: Site) -> None:
    local = scheduled.data / "manifests" / "nightly.yaml"
    local.parent.mkdir(exist_ok=True)
    local.write_text((scheduled.folder / "schedule-monthly.yaml").read_text().replace('"monthly"', '"nightly"'))
    (local.parent / "work.yaml").write_text((scheduled.folder / "workflow-work.yaml").read_text())
    (local.parent / "work.py").write_text(EFFECT)
    scheduled.cli.run("reconcile", "--once", str(local.parent))
    assert len(scheduled.cli.run("list", "schedules", "--json").json) == 2

    scheduled.cli.run("delete", "schedule/nightly")
    refused = scheduled.cli.run("delete", "schedule/monthly", expect=1)

    assert not local.exists()
    assert [view["id"] for view in scheduled.cli.run("list", "schedules", "--json").json] == ["monthly"]
    assert "schedule/monthly is declared in" in refused.stderr
    assert "schedule-monthly.yaml" in refused.stderr


def test_deleting_the_last_object_of_the_local_folder_forgets_a_schedule(site: Site) -> None:
    local = site.data / "manifests"
    local.mkdir(parents=True)
    site.workflow("work", "work.py", EFFECT)
    monthly(site)
    for file in ("work.py", "workflow-work.yaml", "schedule-monthly.yaml"):
        (site.folder / file).rename(local / file)
    site.cli.run("reconcile", "--once", str(local))

    site.cli.run("delete", "--all", "--yes")

    assert site.cli.run("list", "schedules", "--json").json == []


def test_a_run_of_a_schedule_is_run_again_as_a_run_of_that_schedule(scheduled: Site) -> None:
    (slot,) = look_back(scheduled, 1)
    scheduled.finish()
    name = run_name("monthly", slot)

    scheduled.cli.run("rerun", name, "--wait")

    view = scheduled.status(name)
    assert (view["status"], view["incarnation"], view["metadata"]["schedule"]) == ("completed", 2, {"name": "monthly", "slot": stamp(slot)})
    assert view["output"] == {"day": f"{slot:%Y-%m-%d}"}


def test_validate_warns_and_plan_does_not(scheduled: Site) -> None:
    scheduled.declare("Schedule", "monthly", {"cron": "30 2 * * *", "timeZone": "Europe/Berlin", "run": {"workflow": "work"}})

    told = scheduled.cli.run("validate", str(scheduled.folder)).stdout
    shown = scheduled.cli.run("plan", str(scheduled.folder))

    assert "schedule-monthly.yaml:8:11: warning: /spec/cron: 02:30 does not exist when Europe/Berlin puts its clock forward" in told
    assert "2 objects, 0 errors, 2 warnings" in told
    assert "warning" not in shown.stdout + shown.stderr


def test_a_folder_without_schedules_never_loads_the_calculator(site: Site) -> None:
    site.workflow("work", "work.py", EFFECT)
    site.start("once", "work")
    site.cli.run("reconcile", "--once", "--wait", str(site.folder))

    command = [
        *site.cli.command[:1],
        "-X",
        "importtime",
        *site.cli.command[1:],
        "--data-dir",
        str(site.data),
        "reconcile",
        "--once",
        str(site.folder),
    ]
    done = subprocess.run(command, env={**os.environ, "HOME": str(site.home)}, cwd=site.cli.cwd, capture_output=True, text=True, check=True)

    assert "reconciler.reconcile" in done.stderr
    assert not [line for line in done.stderr.splitlines() if "apscheduler" in line or "zoneinfo" in line]


@pytest.mark.parametrize("number", [10, pytest.param(100, marks=pytest.mark.slow)])
def test_I15_many_reconcilers_at_the_same_time_make_one_run_of_every_slot(site: Site, number: int) -> None:
    """Two that see runs to their end, and eight single passes, some of them killed, over ten schedules with so many due slots each."""
    site.settings("adapters: {exec: {runs_per_worker: 16}}\n")
    site.workflow("work", "work.py", EFFECT)
    for name in range(10):
        monthly(site, f"s{name}", catchUp="all", overlap="allow")
    site.pass_()
    slots = look_back(site, number)

    command = ("reconcile", "--once", str(site.folder))
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    together = [site.spawn(*command, *(["--wait"] if count < 2 else []), **silent) for count in range(10)]
    eventually(lambda: site.effects() or all(process.poll() is not None for process in together), 120)
    for process in together[2::4]:
        process.kill()
    codes = [process.wait(200) for process in together]
    site.finish()

    expected = {run_name(f"s{name}", slot) for name in range(10) for slot in slots}
    assert set(codes) <= {0, -9, 4}
    assert codes[0] == codes[1] == 0
    assert set(site.statuses()) == expected
    assert len(expected) == 10 * number
    journals = Counter(name for name in site.journals())
    assert journals == Counter(expected)
    effects = Counter(site.effects())
    assert set(effects) == expected
    assert effects.total() == len(expected)
