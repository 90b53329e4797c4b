"""TaskYou's plugin: what it starts, and what can be done with a run from its card."""

import os
import shlex
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.cli import clean_environment
from tests.support.site import Site, eventually
from tests.support.taskyou.board import Board
from tests.support.taskyou.records import Answer

FILES = ["approve", "cancel", "plugin.yaml", "retry", "service", "status"]
CODE = """\
import os

def workflow(input, ctx):
    if input == "approval":
        return ctx.wait_for_signal("approved", approval={"title": "Deploy?"})
    if input == "sleep":
        ctx.sleep("wait", "30d")
    if input == "fail" and not os.path.exists(os.environ["EFFECTS"]):
        raise ValueError("oh no")
    return input
"""


@pytest.fixture
def plugin(site: Site, board: Board) -> Path:
    """The plugin of a site with a folder whose name a shell would split."""
    odd = site.home / "o'dd $HOME folder"
    odd.mkdir()
    site.cli.run("init", "--taskyou", str(odd))
    return Path(board.person("plugins", "dir").stdout.strip()) / "ty-openworkflow"


def run(board: Board, action: str, card: int) -> Answer:
    return board.person("plugins", "run", "ty-openworkflow", action, str(card))


def manifest(plugin: Path) -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((plugin / "plugin.yaml").read_text())
    return read


def test_taskyou_accepts_the_plugin_as_it_is(site: Site, board: Board, plugin: Path) -> None:
    listed = board.person("plugins", "list")

    assert sorted(path.name for path in plugin.iterdir()) == FILES
    assert listed.stderr == ""
    assert "ty-openworkflow (0.1.0)" in listed.stdout
    assert [line.split("→")[1].split()[0] for line in listed.stdout.splitlines() if line.startswith("    action ")] == [
        "status",
        "retry",
        "cancel",
        "approve",
    ]
    for path in plugin.iterdir():
        assert path.stat().st_mode & 0o777 == (0o644 if path.suffix else 0o755)


def test_the_second_time_nothing_is_written_and_what_a_person_changed_stays(site: Site, board: Board, plugin: Path) -> None:
    before = {path: (path.read_text(), path.stat().st_mtime_ns) for path in plugin.iterdir()}
    odd = str(site.home / "o'dd $HOME folder")

    assert site.cli.run("init", "--taskyou", odd).stdout.count("kept     ") == len(FILES)
    assert {path: (path.read_text(), path.stat().st_mtime_ns) for path in plugin.iterdir()} == before

    (plugin / "cancel").write_text((plugin / "cancel").read_text() + "# mine\n")
    (plugin / "status").unlink()
    said = site.cli.run("init", "--taskyou", str(site.folder)).stdout

    assert f"kept     {plugin / 'cancel'} (somebody changed it: remove it to have a new one)" in said
    assert f"wrote    {plugin / 'status'}" in said
    assert f"replaced {plugin / 'service'}" in said
    assert (plugin / "cancel").read_text().endswith("# mine\n")
    assert str(site.folder) in (plugin / "service").read_text()
    assert sorted(path.name for path in plugin.iterdir()) == FILES


def test_without_taskyou_the_folder_has_to_be_named(site: Site, board: Board) -> None:
    site.settings("taskyou: {cli: ~/nowhere/ty}\n")

    told = site.cli.run("init", "--taskyou", expect=1).stderr
    site.cli.run("init", "--taskyou-dir", str(site.home / "plugins"))

    assert "nowhere/ty is not there" in told
    assert "Or say where its plugins are: --taskyou-dir DIR" in told
    assert sorted(path.name for path in (site.home / "plugins" / "ty-openworkflow").iterdir()) == FILES


@pytest.mark.parametrize(
    ("words", "exit", "says"),
    [
        (("--taskyou", "--service"), 64, "choose one of them"),
        (("--taskyou", "/nowhere/at/all"), 64, "/nowhere/at/all is not there"),
        (("--taskyou-dir", "/proc/plugins"), 1, "the plugin cannot be written"),
    ],
)
def test_what_cannot_be_done_is_told(site: Site, board: Board, words: tuple[str, ...], exit: int, says: str) -> None:
    assert says in site.cli.run("init", *words, expect=exit).stderr


@contextmanager
def service(plugin: Path, site: Site, path: str = "/usr/bin:/bin") -> Iterator["subprocess.Popen[bytes]"]:
    """Start the service as TaskYou's daemon does: through sh, with a small PATH, the plugin's own variables, and a group of its own."""
    [declared] = manifest(plugin)["services"]
    env = {**clean_environment(site.home), "PATH": path, **dict(entry.split("=", 1) for entry in declared["env"])}
    process = subprocess.Popen(["sh", "-c", declared["command"]], cwd=declared["cwd"], env=env, start_new_session=True)
    try:
        yield process
    finally:
        with_group = process.poll() is None
        if with_group:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


def loops(site: Site) -> list[int]:
    """Return the processes of the loop over the site's data folder."""
    return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _is_loop(pid, site)]


def _is_loop(pid: int, site: Site) -> bool:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return False
    return str(site.data) in words and "serve" in words


def test_the_service_runs_the_loop_starts_it_again_and_ends_with_sigterm(site: Site, board: Board, plugin: Path) -> None:
    log = site.data / "loop.log"
    with service(plugin, site) as process:
        eventually(lambda: log.exists() and "o'dd $HOME folder" in log.read_text())
        [first] = loops(site)
        os.kill(first, signal.SIGKILL)
        eventually(lambda: [pid for pid in loops(site) if pid != first])

        process.terminate()

        assert process.wait(10) == 0
        eventually(lambda: not loops(site))


def test_the_service_gives_way_to_a_loop_that_lives(site: Site, board: Board, plugin: Path) -> None:
    with service(plugin, site) as first:
        eventually(lambda: (site.data / "loop.log").exists() and "o'dd $HOME folder" in (site.data / "loop.log").read_text())
        with service(plugin, site) as second:
            assert second.wait(30) == 4
        assert first.poll() is None


@pytest.fixture
def cards(site: Site, board: Board, plugin: Path) -> dict[str, int]:
    """The numbers of the cards of a run that failed, one that sleeps, and one that waits for an approval."""
    site.workflow("work", "work.py", CODE)
    for name in ("fail", "sleep", "approval"):
        site.start(name, "work", input=name)
    site.pass_("--until", "parked", expect=5)
    found = {task.title: task.id for task in board.tasks()}
    return {
        name: next(number for title, number in found.items() if word in title)
        for name, word in (("fail", ": fail"), ("sleep", ": sleep"), ("run", ": approval"), ("approval", "Deploy?"))
    }


def test_a_card_shows_its_run_and_lets_it_be_retried_and_canceled(site: Site, board: Board, cards: dict[str, int]) -> None:
    assert run(board, "status", cards["fail"]).stdout.startswith("run/fail")
    assert run(board, "status", cards["approval"]).stdout.startswith("run/approval")

    site.effects_file.touch()
    assert run(board, "retry", cards["fail"]).exit == 0
    assert run(board, "cancel", cards["sleep"]).exit == 0
    site.pass_("--until", "parked")

    assert {name: site.status(name)["status"] for name in ("fail", "sleep", "approval")} == {
        "fail": "completed",
        "sleep": "canceled",
        "approval": "waiting",
    }
    assert site.status("fail")["incarnation"] == 2


def test_an_approval_is_approved_from_its_card_and_no_other_card_is_closed(site: Site, board: Board, cards: dict[str, int]) -> None:
    for other in ("fail", "sleep", "run"):
        refused = run(board, "approve", cards[other])
        assert (refused.exit, refused.stdout) == (1, f"task #{cards[other]} is no approval that a run waits for\n")
        assert board.task(cards[other]).status != "done"

    assert run(board, "approve", cards["approval"]).exit == 0
    site.pass_("--until", "parked", expect=None)
    site.pass_("--until", "parked", expect=None)

    assert board.task(cards["approval"]).status == "done"
    assert site.status("approval")["output"]["approved"] is True
    assert board.task(cards["run"]).status == "done"


def test_cards_that_are_not_ours_are_told_apart(site: Site, board: Board, plugin: Path) -> None:
    board.person("create", "--", "somebody's own")

    for action in ("status", "retry", "cancel", "approve"):
        ours = run(board, action, 1)
        assert ours.exit == 1
        assert "no run here is linked to it" in ours.stdout
        without = board.person("plugins", "run", "ty-openworkflow", action)
        assert "choose" in without.stdout
    assert board.task(1).status == "backlog"


def test_no_script_pastes_anything_into_a_shell(plugin: Path, site: Site) -> None:
    for name in ("status", "retry", "cancel", "approve", "service"):
        subprocess.run(["sh", "-n", str(plugin / name)], check=True)
    [words] = [shlex.split(line) for line in (plugin / "service").read_text().splitlines() if " serve " in line]

    assert str(site.home / "o'dd $HOME folder") in words
