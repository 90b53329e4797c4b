"""Several processes over one data folder that speak with TaskYou at once, hooks of TaskYou that call this program, and a follower: one card for each run."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.faults.cards import PASSES, Is, Scene, check_agents, check_once, converge, in_sync, scene
from tests.support.site import eventually
from tests.support.taskyou import faults

WORK = """\
def workflow(input, ctx):
    ctx.step("work", lambda: 1)
    if input == "bad":
        raise ValueError("oh no")
    return input
"""
DONE, FAILED = Is("done", "Status: completed"), Is("blocked", "oh no", pinned=True)
pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Scene]:
    with scene(tmp_path / "scene") as made:
        made.site.workflow("w", "w.py", WORK)
        yield made


def declare(one: Scene, prefix: str = "r") -> dict[str, Is]:
    """Declare eight runs, half of which fail, and return how their cards shall be."""
    wanted = {f"{prefix}{number}": FAILED if number % 2 else DONE for number in range(8)}
    for name, card in wanted.items():
        one.site.start(name, "w", input="bad" if card is FAILED else "good", task=True)
    return wanted


def check(one: Scene, wanted: dict[str, Is]) -> None:
    converge(one, wanted)
    check_once(one)
    check_agents(one.board)
    assert all(len([record for record in records if record["type"] == "claim"]) == 1 for records in one.site.journals().values())


def test_I18_four_passes_at_once_make_one_card_for_each_run(one: Scene) -> None:
    wanted = declare(one)
    one.board.set_fault(faults.slow(0.05))
    programs = [one.site.spawn("reconcile", "--once", "--wait", str(one.site.folder)) for _ in range(4)]
    for program in programs:
        _, said = program.communicate(timeout=120)
        assert program.returncode in (0, 5), said
        assert "Traceback" not in said, said
    one.board.clear_faults()

    check(one, wanted)


def test_I18_passes_and_a_start_beside_a_loop_make_one_card_for_each_run(one: Scene) -> None:
    wanted = declare(one)
    loop = one.site.spawn("reconcile", str(one.site.folder))
    try:
        eventually(lambda: (one.site.data / "state.db").exists() and one.site.cli.run("list", "runs", expect=None).stdout.count("w") >= 8)
        others = [one.site.spawn("reconcile", "--once", str(one.site.folder)) for _ in range(2)]
        others.append(one.site.spawn("--project", "default", "--env", "default", "start", "w", "--as", "quick", "-t", "Quick", "-i", '"good"'))
        for program in others:
            _, said = program.communicate(timeout=120)
            assert program.returncode in (0, 5), said
        eventually(lambda: one.site.statuses().get("quick") == "completed" and in_sync(one, {**wanted, "quick": DONE}), 60)
    finally:
        loop.terminate()
        _, said = loop.communicate(timeout=60)
    assert "Traceback" not in said, said

    check(one, wanted)


def hook(one: Scene, event: str, *words: str) -> Path:
    """Let TaskYou call this program whenever an event happens; returns the file with the exit codes."""
    folder = one.site.home / ".config" / "task" / "hooks"
    folder.mkdir(parents=True, exist_ok=True)
    codes = one.site.home / f"codes-{event}"
    command = " ".join(json.dumps(word) for word in [*one.site.cli.command, "--data-dir", str(one.site.data), *words])
    (folder / event).write_text(f'#!/bin/sh\ncd {one.site.folder}\n{command} >>"{codes}.log" 2>&1\necho $? >>"{codes}"\n')
    (folder / event).chmod(0o755)
    return codes


@pytest.mark.parametrize("looped", [False, True], ids=["once", "beside a loop"])
def test_I18_a_hook_of_TaskYou_may_call_any_command_without_a_deadlock(one: Scene, looped: bool) -> None:
    wanted = {"good": DONE, "bad": FAILED}
    for name in wanted:
        one.site.start(name, "w", input=name, task=True)
    start = ["--project", "default", "--env", "default", "start", "w", "--as", 'hook-"$TASK_ID"', "-i", '"good"', "--create-task", "--no-follow"]
    codes = [
        hook(one, "task.updated", "status", "run/good"),
        hook(one, "task.blocked", "reconcile", "--once", str(one.site.folder)),
    ]
    started = hook(one, "task.completed", "list", "runs")
    # The run that the hook starts has a card too, whose end calls the hook again: it starts one, and no more.
    folder, words = started.parent / ".config" / "task" / "hooks" / "task.completed", " ".join(start).replace('"good"', "'\"good\"'")
    program = " ".join([*one.site.cli.command, "--data-dir", str(one.site.data)])
    folder.write_text(f'#!/bin/sh\ncd {one.site.folder}\n[ -e "{started}" ] && exit\ntouch "{started}"\n{program} {words} >"{started}.log" 2>&1\n')
    if looped:
        loop = one.site.spawn("reconcile", str(one.site.folder))
        eventually(lambda: in_sync_of(one, wanted) and len(one.board.tasks()) == 3 and one.board.tasks()[-1].status == "done", 90)
        loop.terminate()
        loop.communicate(timeout=60)
    else:
        for _ in range(PASSES):
            one.pass_()

    assert Path(f"{started}.log").read_text().startswith("hook-")
    for path in codes:
        assert set(path.read_text().split()) <= {"0", "5"}, Path(f"{path}.log").read_text()
    assert sorted(task.status for task in one.board.tasks(trashed=True)) == ["blocked", "done", "done"]
    converge(one, wanted)
    check_once(one)
    check_agents(one.board)


def in_sync_of(one: Scene, wanted: dict[str, Is]) -> bool:
    """Say whether runs have begun, and have the cards that they shall have."""
    return all(one.site.journal(run) for run in wanted) and in_sync(one, wanted)


def test_I18_a_follower_keeps_cards_true_also_one_that_a_hook_has_left(one: Scene) -> None:
    """Inside a hook nothing is synced, since the process outside does it; a follower outlives both."""
    hook_environment = {"TY_OPENWORKFLOW_SYNC": "1", "CI": "false"}
    one.site.cli.run("deploy", "slow", "--runtime", "python", input="import time\ndef workflow(i, ctx):\n    time.sleep(1)\n    return i\n")
    site_cli = replace(one.site.cli, env={**one.site.cli.env, **hook_environment})
    site_cli.run("start", "slow", "--as", "followed", "-i", '"x"', "--create-task")

    eventually(lambda: any(task.status == "done" for task in one.board.tasks()), 60)
    assert [task.title for task in one.board.tasks(trashed=True)] == ["slow: followed"]
    assert one.site.statuses() == {"followed": "completed"}
    eventually(lambda: not one.site.processes(workers_only=False))
    assert "No changes" in one.site.cli.run("plan").stdout  # what it did is remembered
