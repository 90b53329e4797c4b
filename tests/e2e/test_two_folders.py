"""One project and environment belongs to one folder; the same folder elsewhere is still the same."""

import shutil
from pathlib import Path

from tests.support.repository import git, init
from tests.support.site import Site

NAP = "def workflow(input, ctx):\n    ctx.sleep('nap', '30d')\n"
PROJECT = "apiVersion: ty-openworkflow/v1\nkind: Project\nmetadata: {{name: {name}}}\nspec: {{lineage: {lineage}}}\n"


def declare(site: Site, *runs: str) -> None:
    site.workflow("nap", "nap.py", NAP)
    for name in runs:
        site.start(name, "nap")


def second(site: Site, name: str = "second") -> Path:
    """Copy the project's folder."""
    return Path(shutil.copytree(site.folder, site.folder.with_name(name)))


def test_the_second_folder_of_an_undeclared_project_is_refused_and_what_it_is_told_to_paste_helps(site: Site) -> None:
    declare(site, "one")
    site.pass_("--until", "parked")
    other = second(site)
    (other / "one.yaml").rename(other / "moved.yaml")

    refused = site.cli.run("reconcile", "--once", str(other), expect=6).stdout

    assert "another-folder" in refused
    assert f"{site.folder} holds default/default already" in refused
    assert f"write {other}/ty-openworkflow.yaml:" in refused
    lines = refused.partition(f"{other}/ty-openworkflow.yaml:")[2].splitlines()
    (other / "ty-openworkflow.yaml").write_text("\n".join(line[6:] for line in lines[1:5]) + "\n")
    accepted = site.cli.run("reconcile", "--once", "--until", "parked", str(other)).stdout
    assert "project second  environment default" in accepted
    assert "2 changes (1 deploy, 1 start)" in accepted
    assert "No changes" in site.pass_().stdout


def test_two_folders_that_claim_a_declared_project_are_refused_together_too(site: Site) -> None:
    declare(site, "one")
    site.write("ty-openworkflow.yaml", PROJECT.format(name="shop", lineage="7f3a9c1e"))
    other = second(site)

    done = site.cli.run("reconcile", "--once", "--assume", "start", "--until", "parked", str(site.folder), str(other), expect=6).stdout

    assert "2 changes (1 deploy, 1 start)" in done
    assert f"change metadata.name of the Project in {other}/ty-openworkflow.yaml" in done
    planned = site.cli.run("plan", "--json", str(other)).json
    assert [notice["reason"] for notice in planned["held"]] == ["another-folder"]


def test_a_folder_that_gave_itself_another_name_lets_go_of_the_project(site: Site) -> None:
    declare(site, "one")
    site.write("ty-openworkflow.yaml", PROJECT.format(name="shop", lineage="7f3a9c1e"))
    site.pass_("--assume", "start", "--until", "parked")
    other = second(site)
    site.write("ty-openworkflow.yaml", PROJECT.format(name="shop-a", lineage="7f3a9c1e"))

    site.cli.run("reconcile", "--once", str(other))

    left = site.cli.run("plan", "--json", str(other)).json
    assert (left["changes"], left["held"], left["rejected"]) == ([], [], [])
    assert site.cli.run("--project", "shop", "status", "run/one", "--json").json["claims"] == 1


def test_a_project_with_a_lineage_that_was_moved_keeps_everything_and_prunes_what_it_lost_on_the_way(site: Site) -> None:
    declare(site, "one", "two")
    site.write("ty-openworkflow.yaml", PROJECT.format(name="shop", lineage="7f3a9c1e"))
    site.pass_("--assume", "start", "--until", "parked")
    moved = site.folder.rename(site.folder.with_name("elsewhere"))
    site.cli = type(site.cli)(site.home, site.data)

    planned = site.cli.run("plan", "--json", str(moved)).json
    passed = site.cli.run("reconcile", "--once", str(moved)).stdout

    assert (planned["changes"], planned["held"]) == ([], [])
    assert "No changes, 3 unchanged" in passed
    (moved / "two.yaml").unlink()
    assert "run/two  cancel  its manifest is gone" in site.cli.run("reconcile", "--once", str(moved), expect=5).stdout
    assert site.cli.run("status", "run/one", "--json").json["claims"] == 1


def test_another_folder_that_takes_the_place_of_one_without_a_lineage_prunes_nothing_of_it(site: Site) -> None:
    """Two folders of examples, one after the other: nobody said that they are the same."""
    declare(site, "one")
    site.pass_("--until", "parked")
    other = site.folder.with_name("other")
    other.mkdir()
    (other / "b.yaml").write_text(
        "apiVersion: ty-openworkflow/v1\nkind: Workflow\nmetadata: {name: b}\nspec: {runtime: python, code: {inline: 'def workflow(i, c): pass'}}\n"
    )
    site.folder.rename(site.folder.with_name("away"))
    site.cli = type(site.cli)(site.home, site.data)

    done = site.cli.run("reconcile", "--once", str(other)).stdout

    assert "1 change (1 deploy)" in done
    assert site.status("one")["status"] == "sleeping"


def test_a_clone_of_the_same_history_is_the_same_folder_and_another_part_of_it_is_not(site: Site) -> None:
    declare(site, "one")
    (site.folder / "part").mkdir()
    shutil.copy(site.folder / "workflow-nap.yaml", site.folder / "part")
    shutil.copy(site.folder / "nap.py", site.folder / "part")
    shutil.move(site.folder / "part", site.folder.with_name("part"))
    init(site.folder)
    site.pass_("--until", "parked")
    clone = site.folder.with_name("clone")
    git(site.folder, "clone", "-q", str(site.folder), str(clone))
    shutil.move(site.folder.with_name("part"), clone / "part")

    assert "another-folder" in site.cli.run("reconcile", "--once", str(clone / "part"), expect=6).stdout
    shutil.rmtree(clone / "part")
    assert site.cli.run("plan", "--json", str(clone)).json["changes"] == []
    assert "No changes, 2 unchanged" in site.cli.run("reconcile", "--once", str(clone)).stdout
    assert site.status("one")["claims"] == 1


def test_a_folder_that_is_reached_by_another_path_is_the_same(site: Site) -> None:
    declare(site, "one")
    site.pass_("--until", "parked")
    link = site.folder.with_name("link")
    link.symlink_to(site.folder)

    assert "No changes, 2 unchanged" in site.cli.run("reconcile", "--once", str(link)).stdout
    assert "No changes, 2 unchanged" in site.pass_().stdout


def test_what_start_writes_for_another_project_is_no_claim_on_it(site: Site) -> None:
    declare(site, "one")
    site.write("ty-openworkflow.yaml", PROJECT.format(name="shop", lineage="7f3a9c1e"))
    site.pass_("--assume", "start", "--until", "parked")

    site.cli.run("start", "nap", "--as", "mine", "--no-follow")

    assert "No changes" in site.pass_().stdout
    assert site.cli.run("--project", "shop", "status", "run/mine", "--json").json["metadata"]["project"] == "shop"


def test_a_project_file_that_is_gone_makes_nothing_new_of_everything(site: Site) -> None:
    declare(site, "one")
    site.write("ty-openworkflow.yaml", PROJECT.format(name="shop", lineage="7f3a9c1e"))
    site.pass_("--assume", "start", "--until", "parked")
    (site.folder / "ty-openworkflow.yaml").unlink()

    held = site.pass_(expect=6).stdout

    assert "project-missing" in held
    assert "was project shop" in held
    assert len(site.journals()) == 1
