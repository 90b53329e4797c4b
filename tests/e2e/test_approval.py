"""What is held from pruning goes when a person approves the plan, and only that plan."""

import re
import shutil
import sys
from pathlib import Path

from tests.support.cli import CHECKOUT, Cli
from tests.support.site import Site, eventually

NAP = "def workflow(input, ctx):\n    ctx.sleep('nap', '30d')\n"


def declare(site: Site, *runs: str, **spec: object) -> None:
    site.workflow("nap", "nap.py", NAP)
    for name in runs:
        site.start(name, "nap", **spec)
    site.pass_("--until", "parked")
    eventually(lambda: not site.processes())


def approval(text: str) -> str:
    """Return the digest that an output says to approve."""
    found = re.search(r"--approve ([0-9a-f]{16}) ", text)
    assert found, text
    return found[1]


def test_what_says_confirm_goes_with_the_digest_of_its_plan_and_not_with_another(site: Site) -> None:
    declare(site, "one", "two", prune="confirm")
    (site.folder / "one.yaml").unlink()
    old = approval(site.cli.run("plan", str(site.folder)).stdout)
    (site.folder / "two.yaml").unlink()

    held = site.pass_(expect=6)
    stale = site.pass_("--approve", old, expect=6)
    new = approval(held.stdout)

    assert "run/one  prune-confirm  not pruned: its manifest, which is gone, said `prune: confirm`" in held.stdout
    assert f"--approve {old}: the plan of default/default is another one now, {new}, and holds run/one, run/two" in stale.stderr
    assert site.statuses() == {"one": "sleeping", "two": "sleeping"}
    assert site.plan()["digest"].startswith(new)
    site.pass_("--approve", new, "--wait", expect=5)
    assert site.statuses() == {"one": "canceled", "two": "canceled"}
    assert "No changes" in site.pass_("--approve", new).stdout  # once more is no mistake


def test_more_than_prune_max_goes_with_approval_also_from_a_folder_that_is_empty_now(site: Site) -> None:
    declare(site, *(f"r{number:02}" for number in range(11)))
    for path in site.folder.glob("r*.yaml"):
        path.unlink()
    many = site.pass_(expect=6).stdout
    for path in site.folder.iterdir():
        path.unlink()
    empty = site.pass_(expect=6).stdout

    assert "not pruned: 11 objects would go, and prune.max is 10" in many
    assert "not pruned: the folder declares nothing at all" in empty
    assert approval(many) != approval(empty)
    site.pass_("--approve", approval(empty), "--wait", expect=5)
    assert set(site.statuses().values()) == {"canceled"}
    assert "No changes" in site.pass_().stdout


def test_an_upgrade_with_other_defaults_changes_nothing(site: Site, tmp_path: Path) -> None:
    """Revisions and spec hashes are of what people wrote: a default of ours is in none of them."""
    declare(site, "one", "two")
    program = tmp_path / "newer"
    for folder in ("reconciler", "adapters", "runtimes", "schemas"):
        shutil.copytree(CHECKOUT / folder, program / folder, ignore=shutil.ignore_patterns("__pycache__"))
    build = program / "reconciler/manifests/build.py"
    text = build.read_text()
    changed = text.replace("_STEP_RETRY = Retry(10,", "_STEP_RETRY = Retry(7,").replace(
        "_GRACE = timedelta(seconds=10)", "_GRACE = timedelta(seconds=33)"
    )
    assert sum(one != other for one, other in zip(text.splitlines(), changed.splitlines(), strict=True)) == 2
    build.write_text(changed)
    newer = Cli(site.home, site.data, (sys.executable, "-m", "reconciler"), cwd=program)

    planned = newer.run("plan", "--json", str(site.folder)).json
    passed = newer.run("reconcile", "--once", str(site.folder)).stdout

    assert (planned["changes"], planned["rejected"], planned["held"], planned["drift"]) == ([], [], [], [])
    assert "No changes, 3 unchanged" in passed
    assert (site.status("one")["status"], site.status("one")["claims"]) == ("sleeping", 1)


def test_renaming_every_file_and_folder_is_an_empty_plan_also_by_git(site: Site) -> None:
    from tests.support.repository import commit, git, init

    declare(site, "one", "two")
    init(site.folder)
    site.pass_()
    (site.folder / "deep/er").mkdir(parents=True)
    for name in ("one.yaml", "two.yaml", "workflow-nap.yaml", "nap.py"):
        git(site.folder, "mv", name, f"deep/er/{name}")
    commit(site.folder, "moved")

    left = site.plan("--detailed-exitcode")

    assert (left["changes"], left["rejected"], left["held"]) == ([], [], [])
    assert "No changes, 3 unchanged" in site.pass_().stdout
    assert [change for ref in ("HEAD~1", "HEAD") for change in site.plan("--git", ref)["changes"]] == []
