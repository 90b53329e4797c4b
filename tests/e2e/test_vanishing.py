"""I12: input that is missing, unreadable, half-written or empty cancels nothing, prunes nothing and starts nothing."""

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from threading import Thread

import pytest

from reconciler.actions import Plan
from reconciler.clock import SystemClock
from reconciler.config import load_settings
from reconciler.ground import Approach
from reconciler.service import Service
from tests.support.cli import clean_environment
from tests.support.repository import commit, git, init
from tests.support.site import Site, eventually

NAP = "def workflow(input, ctx):\n    ctx.sleep('nap', '30d')\n"
RUNS = ("one", "two", "three")
RUN = "apiVersion: ty-openworkflow/v1\nkind: Run\nmetadata: {{name: {name}}}\nspec: {{workflow: nap, input: {{a: {name}-{name}}}}}\n"
THREE = "---\n".join(RUN.format(name=name) for name in RUNS)
PROJECT = "apiVersion: ty-openworkflow/v1\nkind: Project\nmetadata: {name: shop}\nspec: {lineage: 7f3a9c1e}\n"


@pytest.fixture
def shop(site: Site) -> Iterator[Site]:
    """Three runs under way that are declared in one file."""
    site.write("ty-openworkflow.yaml", PROJECT)
    site.workflow("nap", "nap.py", NAP)
    site.write("runs.yaml", THREE)
    site.pass_("--assume", "start", "--until", "parked")
    eventually(lambda: not site.processes())
    yield site


def untouched(site: Site) -> None:
    """Check that the three runs sleep as before, each under its first claim, and that there are no others."""
    runs = {run["id"]: (run["status"], run["claims"]) for run in site.cli.run("list", "runs", "--json").json}
    assert runs == dict.fromkeys(RUNS, ("sleeping", 1))
    assert len(site.journals()) == len(RUNS)


def nothing_left(site: Site) -> None:
    """Check that the folder as it is now is what was carried out."""
    left = site.plan("--detailed-exitcode")
    assert (left["changes"], left["rejected"], left["held"]) == ([], [], [])


def test_a_folder_that_was_removed_is_missed_and_nothing_else(shop: Site) -> None:
    away = shop.folder.rename(shop.folder.with_name("away"))
    shop.cli = type(shop.cli)(shop.home, shop.data)

    held = shop.pass_(expect=6)

    assert "project/shop  folder-missing" in held.stdout
    untouched(shop)
    away.rename(shop.folder)
    assert "No changes, 4 unchanged" in shop.pass_().stdout


def test_a_folder_whose_content_was_removed_is_missed_and_nothing_else(shop: Site) -> None:
    kept = shutil.copytree(shop.folder, shop.folder.with_name("kept"))
    for path in shop.folder.iterdir():
        path.unlink()

    held = shop.pass_(expect=6)

    assert "project-missing" in held.stdout
    untouched(shop)
    shutil.copytree(kept, shop.folder, dirs_exist_ok=True)
    nothing_left(shop)


def test_a_checkout_that_left_the_folder_empty_is_held(shop: Site) -> None:
    init(shop.folder)
    shop.pass_()
    git(shop.folder, "read-tree", "--empty")
    for path in shop.folder.glob("*[a-z].*"):
        path.unlink()

    shop.pass_(expect=6)

    untouched(shop)


def test_everything_but_the_project_that_is_gone_is_held(shop: Site) -> None:
    for name in ("runs.yaml", "workflow-nap.yaml"):
        (shop.folder / name).unlink()

    held = shop.pass_(expect=6)

    assert "the folder declares nothing at all" in held.stdout
    untouched(shop)


def test_an_unparsable_file_together_with_a_removed_one_removes_nothing(shop: Site) -> None:
    (shop.folder / "runs.yaml").unlink()
    shop.write("broken.yaml", "apiVersion: ty-openworkflow/v1\nkind: [\n")

    held = shop.pass_(expect=6)

    assert "not pruned: there are invalid manifests" in held.stdout
    untouched(shop)


def test_a_file_that_cannot_be_read_holds_what_it_declared(shop: Site) -> None:
    """A link is not followed, whoever may read what it leads to."""
    (shop.folder / "runs.yaml").rename(shop.folder / "elsewhere.txt")
    (shop.folder / "runs.yaml").symlink_to("elsewhere.txt")

    shop.pass_(expect=3)

    untouched(shop)


def test_a_folder_that_is_switched_by_a_link_is_the_same_one(site: Site) -> None:
    releases = site.folder.with_name("releases")
    releases.mkdir()
    site.write("ty-openworkflow.yaml", PROJECT)
    site.workflow("nap", "nap.py", NAP)
    site.write("runs.yaml", THREE)
    site.folder.rename(releases / "1")
    shutil.copytree(releases / "1", releases / "2")
    (releases / "2" / "runs.yaml").write_text("---\n".join(RUN.format(name=name) for name in RUNS[:2]))
    shutil.copytree(releases / "1", releases / "3", ignore=lambda *_: ["runs.yaml", "workflow-nap.yaml"])
    current = site.folder
    site.cli = type(site.cli)(site.home, site.data)

    def switch(release: str) -> None:
        (releases / "new").symlink_to(releases / release)
        (releases / "new").rename(current)

    switch("1")
    site.pass_("--assume", "start", "--until", "parked")
    switch("3")
    held = site.pass_(expect=6)
    untouched(site)
    switch("1")
    back = site.pass_()
    switch("2")
    lacking = site.pass_("--wait", "--timeout", "1s", expect=5)

    assert "the folder declares nothing at all" in held.stdout
    assert "No changes, 4 unchanged" in back.stdout
    assert "run/three  cancel  its manifest is gone" in lacking.stdout
    assert site.status("one")["claims"] == 1


def while_passing(site: Site, change: Callable[[], None]) -> str:
    """Run one pass while a thread changes the folder, from before its start until after its end; returns what it printed."""
    passing = site.spawn("reconcile", "--once", str(site.folder))
    thread = Thread(target=change)
    thread.start()
    output, errors = passing.communicate(timeout=60)
    thread.join()
    assert passing.returncode == 0, output + errors
    return output


def test_a_file_that_is_empty_for_a_second_is_waited_for(shop: Site) -> None:
    path = shop.folder / "runs.yaml"
    path.write_text("")

    def mend() -> None:
        time.sleep(1)
        path.write_text(THREE)

    output = while_passing(shop, mend)

    assert "No changes, 4 unchanged" in output
    untouched(shop)


def test_a_file_that_is_gone_for_a_second_is_waited_for(shop: Site) -> None:
    path = shop.folder / "runs.yaml"
    path.unlink()

    def mend() -> None:
        time.sleep(1)
        path.write_text(THREE)

    output = while_passing(shop, mend)

    assert "No changes, 4 unchanged" in output
    untouched(shop)


def test_a_file_that_is_written_in_three_pieces_over_three_seconds_is_waited_for(shop: Site) -> None:
    path = shop.folder / "runs.yaml"
    pieces = [RUN.format(name="one"), "---\n" + RUN.format(name="two"), "---\n" + RUN.format(name="three")]
    path.write_text(pieces[0])
    written = [time.monotonic()]

    def go_on() -> None:
        for piece in pieces[1:]:
            time.sleep(1.5)
            with path.open("a") as file:
                file.write(piece)
            written.append(time.monotonic())

    output = while_passing(shop, go_on)

    if max(after - before for before, after in pairwise(written)) < 2:  # else this machine stood still, and two seconds were over
        assert "No changes, 4 unchanged" in output
        untouched(shop)


def test_a_writer_that_holds_its_file_open_for_three_seconds_is_waited_for(shop: Site) -> None:
    path = shop.folder / "runs.yaml"
    half = len(THREE) // 2
    with path.open("w") as file:
        file.write(THREE[:half])
        file.flush()

        def go_on() -> None:
            time.sleep(3)
            file.write(THREE[half:])
            file.flush()
            os.close(os.dup(file.fileno()))
            file.close()

        output = while_passing(shop, go_on)

    assert "No changes, 4 unchanged" in output
    untouched(shop)


def test_what_is_gone_for_good_goes_when_that_is_two_seconds_old(shop: Site) -> None:
    shop.write("runs.yaml", RUN.format(name="one"))

    began = time.monotonic()
    first = shop.pass_("--wait", "--timeout", "1s", expect=5)

    assert "run/two    cancel  its manifest is gone" in first.stdout
    assert time.monotonic() - began < 30
    eventually(lambda: [shop.pass_(expect=None), shop.statuses()][-1] == {"one": "sleeping", "two": "canceled", "three": "canceled"})


class Passes:
    """One process that makes pass after pass, as a loop does: it never waits for a file."""

    def __init__(self, site: Site) -> None:
        settings = load_settings(None, {**clean_environment(site.home), "TY_OPENWORKFLOW_DATA_DIR": str(site.data)})
        self.service = Service(settings, SystemClock(), lambda _: None)
        self.folder = site.folder

    def once(self) -> tuple[Plan, bool]:
        """Return the plan of one pass, and whether it said when to look again."""
        passed = self.service.reconcile([self.folder], "test", lambda *_: None, approach=Approach(patient=False))
        now = self.service.clock.now()
        return passed.reports[0].plan, any(0 < (due - now).total_seconds() < 5 for due in passed.again.values())


@pytest.mark.parametrize("open_", [False, True])
def test_a_file_of_three_documents_cut_at_every_byte_takes_nothing_away(shop: Site, open_: bool) -> None:
    """A writer that closes what it has written so far, or keeps it open: neither takes a run away, and what is held open starts none."""
    passes, path = Passes(shop), shop.folder / "runs.yaml"
    text = THREE.encode()
    for cut in range(len(text)):
        with path.open("wb") as file:
            file.write(text[:cut])
            file.flush()
            if open_:
                plan, _ = passes.once()
        if not open_:
            plan, _ = passes.once()
        taken = [action for action in plan.changes if action.action in ("cancel", "remove") or "cancel" in str(action.after)]
        assert taken == [], f"cut at {cut}"
        if open_:
            assert plan.changes == [], f"cut at {cut}"
    path.write_bytes(text)

    assert {name: shop.status(name)["status"] for name in RUNS} == dict.fromkeys(RUNS, "sleeping")
    if open_:
        untouched(shop)


def test_who_does_not_wait_is_told_when_to_look_again(shop: Site) -> None:
    passes = Passes(shop)
    shop.write("runs.yaml", RUN.format(name="one"))

    plan, again = passes.once()

    assert ({(notice.object, notice.reason) for notice in plan.held}, again) == ({("run/two", "settling"), ("run/three", "settling")}, True)
    eventually(lambda: {change.name for change in passes.once()[0].changes if change.action == "cancel"} == {"two", "three"})


def test_a_switch_of_the_branch_between_two_looks_at_it_is_noticed(shop: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkout that begins while the folder is read: what was read then counts for nothing."""
    init(shop.folder)
    git(shop.folder, "checkout", "-q", "-b", "lacking")
    (shop.folder / "runs.yaml").unlink()
    git(shop.folder, "commit", "-q", "-a", "-m", "lacking")
    git(shop.folder, "checkout", "-q", "main")
    passes = Passes(shop)
    passes.once()
    real = passes.service.desired

    def read_and_switch(*args: object, **more: object) -> object:
        git(shop.folder, "checkout", "-q", "lacking")
        found = real(*args, **more)  # type: ignore[arg-type]
        git(shop.folder, "checkout", "-q", "main" if len(calls) else "lacking")
        calls.append(json.dumps(sorted(found[0].runs)))
        return found

    calls: list[str] = []
    monkeypatch.setattr(passes.service, "desired", read_and_switch)
    plan, _ = passes.once()

    assert calls == ["[]"]
    assert plan.changes == []
    assert {notice.reason for notice in plan.held} & {"git-busy", "branch-changed"}
    untouched(shop)


def test_I10_twenty_passes_over_an_unchanged_repository_write_nothing(shop: Site) -> None:
    init(shop.folder)
    passes = Passes(shop)
    eventually(lambda: [passes.once()[0], not passes.once()[1]][-1])
    before = {path: path.read_bytes() for path in shop.data.rglob("*") if path.is_file() and path.name not in ("lock", "state.db-shm")}

    plans = [passes.once()[0] for _ in range(20)]

    assert all((plan.changes, plan.rejected, plan.held, plan.drift) == ([], (), (), ()) for plan in plans)
    assert {path: path.read_bytes() for path in before} == before
    nothing_left(shop)


def test_a_commit_that_mends_another_one_is_applied_while_that_one_is_still_being_tried(site: Site) -> None:
    """What is retried, and what waits, never keeps a newer commit waiting."""
    site.workflow("flaky", "flaky.py", "def workflow(input, ctx):\n    ctx.step('no', lambda: 1 / 0)\n", steps={"retry": {"initialInterval": "10m"}})
    site.start("broken", "flaky")
    init(site.folder)
    site.pass_("--wait", "--timeout", "1s", expect=5)
    eventually(lambda: site.reached("broken", "retrying"))

    site.workflow("flaky", "flaky.py", "def workflow(input, ctx):\n    return ctx.step('yes', lambda: 1)\n")
    site.start("mended", "flaky")
    commit(site.folder, "mend")
    done = site.pass_("--wait", "--timeout", "5s", expect=5)

    assert "workflow/flaky  update" in done.stdout
    assert site.status("mended")["status"] == "completed"
    assert site.status("broken")["status"] == "sleeping"
