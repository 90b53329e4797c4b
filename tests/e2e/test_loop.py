"""The loop: files, runs, other processes and signals wake it, and nothing that happens to it harms a run."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.loop import living
from tests.support.site import Site, eventually, kill

HELLO = """\
def workflow(input, ctx):
    greeting = ctx.step("greet", lambda: f"Hello, {input['name']}!")
    ctx.sleep("wait", input.get("sleep", 0))
    return greeting
"""


@pytest.fixture
def hello(site: Site) -> Site:
    site.workflow("hello", "hello.py", HELLO)
    return site


def completed(site: Site, *runs: str) -> None:
    """Wait until these runs have completed."""
    eventually(lambda: [site.statuses().get(run) for run in runs] == ["completed"] * len(runs))


def test_a_run_that_is_saved_is_carried_out_and_told_of(hello: Site) -> None:
    with living(hello) as loop:
        hello.start("one", "hello", input={"name": "World"})

        said = loop.says("run/one: completed")

    assert said.count("run/one: start") == 1
    assert hello.status("one")["output"] == "Hello, World!"


def test_code_that_is_saved_is_deployed(hello: Site) -> None:
    with living(hello) as loop:
        loop.says("workflow/hello: deploy")
        hello.write("hello.py", HELLO.replace("Hello", "Goodbye"))

        loop.says("workflow/hello: update")


def test_SIGTERM_ends_it_and_its_runs_go_on(hello: Site) -> None:
    with living(hello) as loop:
        hello.start("asleep", "hello", input={"name": "A", "sleep": 3})
        eventually(lambda: hello.reached("asleep", "requested", kind="sleep"))

        code = loop.end()

    worker = set(hello.processes())
    assert code == 0
    assert "ended by SIGTERM" in loop.said()
    assert len(worker) == 1
    hello.finish()
    assert (hello.status("asleep")["status"], hello.status("asleep")["claims"]) == ("completed", 1)


def test_Ctrl_C_ends_it_with_130(hello: Site) -> None:
    with living(hello) as loop:
        assert loop.end(signal.SIGINT) == 130

    assert "Traceback" not in loop.said()


def test_it_ends_while_a_slow_pass_is_under_way(site: Site) -> None:
    waiting = site.home / "waiting"
    secrets = f"secrets: {{slow: {{cmd: 'touch {waiting}; sleep 2; echo x'}}}}\n"
    site.workflow("work", "work.py", "def workflow(input, ctx):\n    return 1\n", env={"SLOW": {"secret": "slow"}})
    with living(site, settings=f"poll_interval: 1h\n{secrets}") as loop:
        site.start("one", "work")
        eventually(waiting.exists)

        assert loop.end() == 0


def test_it_ends_in_the_middle_of_a_pass_over_many_runs_and_the_next_pass_does_the_rest(hello: Site) -> None:
    manifest = "apiVersion: ty-openworkflow/v1\nkind: Run\nmetadata: {{name: r{0}}}\nspec: {{workflow: hello, input: {{name: x}}, cancel: true}}\n"
    with living(hello) as loop:
        hello.write("many.yaml", "---\n".join(manifest.format(number) for number in range(1200)))
        eventually(lambda: len(list((hello.data / "exec" / "runs").glob("*.journal.jsonl"))) > 20)
        assert loop.end() == 0

    canceled = hello.cli.run("list", "runs", "-s", "canceled", "-n", "2000", "--json").json
    hello.pass_(expect=5)
    assert 0 < len(canceled) < 1200
    assert len(hello.cli.run("list", "runs", "-s", "canceled", "-n", "2000", "--json").json) == 1200


def test_a_second_one_says_who_is_there(hello: Site) -> None:
    with living(hello) as loop:
        result = hello.cli.run("reconcile", str(hello.folder), expect=4)

        assert f"process {loop.process.pid}" in result.stderr


def test_once_beside_it_hands_its_wish_over_and_prints_that_pass(hello: Site) -> None:
    other = hello.home / "other"
    other.mkdir()
    (other / "ty-openworkflow.yaml").write_text("apiVersion: ty-openworkflow/v1\nkind: Project\nmetadata: {name: other}\n")
    (other / "more.yaml").write_text(
        "apiVersion: ty-openworkflow/v1\nkind: Workflow\nmetadata: {name: more}\nspec: {code: {inline: 'def workflow(input, ctx): return 7'}, runtime: python}\n"
        "---\napiVersion: ty-openworkflow/v1\nkind: Run\nmetadata: {name: seven}\nspec: {workflow: more}\n"
    )
    with living(hello) as loop:
        shown = hello.cli.run("reconcile", "--once", "--wait", str(other))

        assert "project other" in shown.stdout
        assert "+ run/seven      start" in shown.stdout
        assert "7" in shown.stdout.splitlines()[-1]
        loop.says("run/seven: completed")


def test_a_wish_for_a_folder_with_mistakes_exits_as_it_does_without_a_loop(hello: Site) -> None:
    with living(hello):
        hello.write("bad.yaml", "apiVersion: ty-openworkflow/v1\nkind: Run\nmetadata: {name: bad}\nspec: {wrokflow: hello}\n")
        result = hello.pass_(expect=3)
        missing = hello.cli.run("--env", "PROD!", "reconcile", "--once", str(hello.folder), expect=3)

    assert "bad.yaml:4" in result.stderr
    assert "PROD!" in missing.stderr


def test_commands_beside_it_are_carried_out_by_it(hello: Site) -> None:
    with living(hello) as loop:
        deployed = hello.cli.run("deploy", "mine", "-f", str(hello.folder / "hello.py"))
        ended = hello.cli.run("start", "mine", "-i", '{"name": "you"}', "--as", "typed", "--wait")
        hello.cli.run("start", "mine", "-i", '{"name": "you", "sleep": 600}', "--as", "long")
        canceled = hello.cli.run("cancel", "long", "--wait")
        loop.says("run/long: cancel")

    assert "workflow/mine is deployed" in deployed.stdout
    assert "Hello, you!" in ended.stdout
    assert "canceled" in canceled.stdout


def test_a_wish_is_granted_by_nobody_when_the_loop_dies_so_the_command_makes_its_own_pass(hello: Site) -> None:
    with living(hello) as loop:
        os.kill(loop.process.pid, signal.SIGSTOP)
        command = hello.spawn("reconcile", "--once", str(hello.folder))
        eventually((hello.data / "wake").exists)
        kill(loop.process.pid)

        out, _ = command.communicate(timeout=30)

    assert "Pass: " in out
    assert command.returncode == 0


def test_a_worker_that_is_killed_is_replaced_at_once(hello: Site) -> None:
    with living(hello):
        hello.start("asleep", "hello", input={"name": "A", "sleep": 1})
        eventually(lambda: hello.reached("asleep", "requested", kind="sleep"))
        worker = next(iter(hello.processes()))
        kill(worker)

        completed(hello, "asleep")

    assert hello.status("asleep")["claims"] == 2


def test_a_parked_sleep_is_woken_when_it_is_due(hello: Site) -> None:
    with living(hello, settings="poll_interval: 1h\npark_after: 100ms\n") as loop:
        hello.start("parked", "hello", input={"name": "A", "sleep": 1})
        loop.says("run/parked: completed")

    assert hello.status("parked")["claims"] == 2


def test_the_end_of_one_run_starts_the_next(hello: Site) -> None:
    with living(hello):
        hello.start("first", "hello", input={"name": "A", "sleep": 1})
        eventually(lambda: hello.reached("first", "requested", kind="sleep"))
        hello.start("second", "hello", input={"name": "B"}, dependsOn=["run/first"])
        eventually(lambda: hello.statuses().get("second") == "pending")

        completed(hello, "first", "second")


def test_a_rerun_of_an_active_run_follows_its_cancel(hello: Site) -> None:
    with living(hello):
        hello.start("one", "hello", input={"name": "A", "sleep": 600})
        eventually(lambda: hello.reached("one", "requested", kind="sleep"))
        hello.start("one", "hello", input={"name": "A", "sleep": 600}, rerun="again")

        eventually(lambda: hello.status("one")["incarnation"] == 2)


# Files as they come and go


def git(folder: Path, *words: str) -> str:
    command = ["git", "-c", "user.name=t", "-c", "user.email=t@t", "-c", "init.defaultBranch=main", "-C", str(folder), *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_500_files_of_a_checkout_make_one_pass(hello: Site) -> None:
    git(hello.folder, "init")
    git(hello.folder, "add", ".")
    git(hello.folder, "commit", "-m", "one")
    for number in range(500):
        hello.start(f"r{number:03d}", "hello", input={"name": str(number)}, startAfter="2999-01-01T00:00:00Z")
    git(hello.folder, "add", ".")
    git(hello.folder, "commit", "-m", "many")
    git(hello.folder, "reset", "--hard", "HEAD~1")
    with living(hello) as loop:
        loop.says("workflow/hello: deploy")
        before = loop.passes()

        git(hello.folder, "reset", "--hard", "HEAD@{1}")
        loop.says("changes=500")

        assert loop.passes() == before + 1


def test_a_file_that_is_still_being_written_starts_nothing(hello: Site) -> None:
    text = "apiVersion: ty-openworkflow/v1\nkind: Run\nmetadata: {name: slow}\nspec:\n  workflow: hello\n  input: {name: First}\n"
    with living(hello) as loop, (hello.folder / "slow.yaml").open("w") as file:
        for piece in (text[:-10], text[-10:], "# the end\n"):
            file.write(piece)
            file.flush()
            time.sleep(1.0)
        assert "slow" not in hello.statuses()
        file.close()

        loop.says("run/slow: completed")
    assert hello.status("slow")["input"] == {"name": "First"}


def test_it_waits_while_git_holds_its_index(hello: Site) -> None:
    git(hello.folder, "init")
    with living(hello) as loop:
        loop.says("workflow/hello: deploy")
        before = loop.passes()
        (hello.folder / ".git" / "index.lock").touch()
        for number in range(3):
            hello.start(f"r{number}", "hello", input={"name": "x"})
            time.sleep(0.1)
        held = loop.passes()
        (hello.folder / ".git" / "index.lock").unlink()
        loop.says("changes=3")

        assert (held, loop.passes()) == (before, before + 1)


def test_editors_that_rename_or_write_in_place_are_both_heard(hello: Site) -> None:
    with living(hello):
        (hello.folder / "place.yaml").write_text(
            "apiVersion: ty-openworkflow/v1\nkind: Run\nmetadata: {name: place}\nspec: {workflow: hello, input: {name: P}}\n"
        )
        temporary = hello.home / "renamed.yaml"
        temporary.write_text("apiVersion: ty-openworkflow/v1\nkind: Run\nmetadata: {name: renamed}\nspec: {workflow: hello, input: {name: R}}\n")
        temporary.rename(hello.folder / "renamed.yaml")
        (hello.folder / "deep" / "er").mkdir(parents=True)
        hello.declare("Run", "deep", {"workflow": "hello", "input": {"name": "D"}}, "deep/er/deep.yaml")

        completed(hello, "place", "renamed", "deep")


def test_a_folder_that_is_away_for_a_while_changes_nothing(hello: Site) -> None:
    hello.start("asleep", "hello", input={"name": "A", "sleep": 600})
    with living(hello) as loop:
        eventually(lambda: hello.reached("asleep", "requested", kind="sleep"))
        away = hello.folder.with_name("away")
        hello.folder.rename(away)
        loop.says("folder-missing")
        away.rename(hello.folder)
        hello.start("after", "hello", input={"name": "B"})

        completed(hello, "after")
        assert hello.status("asleep")["status"] == "sleeping"


def test_a_folder_behind_a_link_is_followed_when_the_link_is_switched(hello: Site) -> None:
    releases, link = hello.home / "releases", hello.home / "current"
    shutil.copytree(hello.folder, releases / "1")
    hello.start("new", "hello", input={"name": "N"})
    shutil.copytree(hello.folder, releases / "2")
    link.symlink_to(releases / "1")
    with living(hello, str(link)) as loop:
        loop.says("workflow/hello: deploy")
        switch = hello.home / "switch"
        switch.symlink_to(releases / "2")
        switch.rename(link)
        completed(hello, "new")
        (link / "later.yaml").write_text(
            "apiVersion: ty-openworkflow/v1\nkind: Run\nmetadata: {name: later}\nspec: {workflow: hello, input: {name: L}}\n"
        )
        completed(hello, "later")

    assert "conflict" not in loop.said()


def test_changes_that_the_kernel_dropped_are_found(hello: Site) -> None:
    with living(hello) as loop:
        loop.says("workflow/hello: deploy")
        os.kill(loop.process.pid, signal.SIGSTOP)
        queue = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
        for number in range(queue // 2 + 100):  # each makes several events
            (hello.folder / "noise").write_text(str(number))
            (hello.folder / "noise").unlink()
        hello.start("after", "hello", input={"name": "A"})
        os.kill(loop.process.pid, signal.SIGCONT)

        completed(hello, "after")


# Followers


def test_start_leaves_a_follower_that_takes_over_and_goes_away(hello: Site) -> None:
    hello.cli = hello.cli.__class__(hello.home, hello.data, cwd=hello.folder, env={"CI": "", "FOLLOWED": "1"})
    hello.cli.run("deploy", "mine", "-f", str(hello.folder / "hello.py"))
    started = hello.cli.run("start", "mine", "-i", '{"name": "you", "sleep": 2}', "--as", "followed")
    eventually(lambda: hello.reached("followed", "requested", kind="sleep"))
    kill(next(iter(hello.processes())))

    eventually(lambda: hello.status("followed")["status"] == "completed")
    eventually(lambda: not hello.processes(workers_only=False))

    assert "follower" in started.stderr
    assert hello.status("followed")["claims"] == 2
    assert "run/followed: completed" in (hello.data / "follower.log").read_text()


def test_a_follower_gives_way_to_a_loop(hello: Site) -> None:
    hello.cli = hello.cli.__class__(hello.home, hello.data, cwd=hello.folder, env={"CI": ""})
    hello.cli.run("deploy", "mine", "-f", str(hello.folder / "hello.py"))
    hello.cli.run("start", "mine", "-i", '{"name": "you", "sleep": 60}', "--as", "followed")
    follower = {pid for pid in hello.processes(workers_only=False) if pid not in hello.processes()}
    assert len(follower) == 1
    with living(hello):
        eventually(lambda: not follower & set(hello.processes(workers_only=False)))


@pytest.mark.parametrize("words", [["--no-follow"], ["--wait"]])
def test_none_is_left_where_nobody_wants_one(hello: Site, words: list[str]) -> None:
    hello.cli = hello.cli.__class__(hello.home, hello.data, cwd=hello.folder, env={"CI": ""})
    hello.cli.run("deploy", "mine", "-f", str(hello.folder / "hello.py"))
    hello.cli.run("start", "mine", "-i", '{"name": "you"}', *words)

    assert not (hello.data / "follower.log").exists()


def test_schedules_fire_when_their_slots_come(hello: Site) -> None:
    hello.declare("Schedule", "often", {"every": "1s", "overlap": "allow", "run": {"workflow": "hello", "input": {"name": "S"}}})
    with living(hello) as loop:
        loop.says("often-", times=6)  # started and completed three times at least

    assert len([name for name in hello.statuses() if name.startswith("often-")]) >= 3
