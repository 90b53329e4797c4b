"""Projects and environments as people use them: one folder for dev and prod, two data folders on one machine."""

import json
from pathlib import Path

import pytest

from tests.support.cli import Cli
from tests.support.site import Site, eventually

TELL = "import os\n\ndef workflow(input, ctx):\n    return ctx.step('tell', lambda: [input, os.environ['BUCKET'], os.environ['TOKEN']])\n"
TREE = "def workflow(input, ctx):\n    return input if input == 0 else 1 + ctx.run_workflow('tree', input - 1, name='below')\n"


@pytest.fixture
def shop(site: Site) -> Site:
    project = {"environments": {"dev": {"vars": {"bucket": "shop-dev", "size": 1}}, "prod": {"vars": {"bucket": "shop", "size": 2}}}}
    document = {"apiVersion": "ty-openworkflow/v1", "kind": "Project", "metadata": {"name": "shop"}, "spec": project}
    site.write("ty-openworkflow.yaml", json.dumps(document))
    site.settings("secrets: {shop-token: {env: SHOP_TOKEN}}\n")
    site.cli = Cli(site.home, site.data, cwd=site.folder, env={"SHOP_TOKEN": "hunter2"})
    env = {"BUCKET": {"value": "s3://${vars.bucket}"}, "TOKEN": {"secret": "shop-token"}}
    site.workflow("tell", "tell.py", TELL, env=env)
    site.start("night", "tell", input="${vars.size}")
    return site


def both(shop: Site, *words: str) -> dict[str, str]:
    return {name: shop.cli.run("--env", name, *words).stdout for name in ("dev", "prod")}


def test_one_folder_is_carried_out_in_two_environments_each_with_its_variables(shop: Site) -> None:
    told = both(shop, "reconcile", "--once", "--wait")

    for name, text in told.items():
        assert text.splitlines()[0].startswith("Pass: ")
        assert f"project shop  environment {name}" in text.splitlines()[0]
    outputs = {run["metadata"]["environment"]: run["output"] for run in shop.cli.run("list", "runs", "--json").json}
    assert outputs == {"dev": [1, "s3://shop-dev", "hunter2"], "prod": [2, "s3://shop", "hunter2"]}
    for name, text in both(shop, "plan", "--detailed-exitcode").items():
        assert f"project shop  environment {name}" in text.splitlines()[0]
        assert "No changes" in text


def test_who_does_not_say_which_environment_is_asked_to(shop: Site) -> None:
    for words in (("plan",), ("reconcile", "--once"), ("delete", "--all", "--yes")):
        told = shop.cli.run(*words, expect=3).stderr
        assert "environments dev, prod: choose one with --env" in told
    assert "did you mean" in shop.cli.run("--env", "prd", "plan", expect=3).stderr
    assert shop.statuses() == {}


def test_the_settings_may_say_which_environment_is_meant(shop: Site) -> None:
    shop.settings("environment: dev\nsecrets: {shop-token: {env: SHOP_TOKEN}}\n")

    assert "environment dev" in shop.cli.run("plan").stdout.splitlines()[0]
    assert "environment prod" in shop.cli.run("--env", "prod", "plan").stdout.splitlines()[0]


def test_a_secret_reaches_the_worker_and_is_in_no_plan_no_state_and_no_revision(shop: Site) -> None:
    plans = both(shop, "plan", "--json")
    shop.cli.run("--env", "dev", "reconcile", "--once")

    assert "hunter2" not in "".join(plans.values())
    for path in [shop.data / "state.db", *(shop.data / "exec/revisions").rglob("*"), *(shop.data / "cache").rglob("*")]:
        assert not path.is_file() or b"hunter2" not in path.read_bytes()


def test_a_manifest_for_one_environment_is_pruned_in_the_other_only(shop: Site) -> None:
    shop.gated()
    shop.start("long", "gated")
    both(shop, "reconcile", "--once")
    document = json.loads((shop.folder / "long.yaml").read_text())
    shop.write("long.yaml", json.dumps({**document, "metadata": {"name": "long", "environments": ["prod"]}}))

    both(shop, "reconcile", "--once")
    shop.cli.run("--env", "dev", "wait", "long", expect=5)

    found = {(run["metadata"]["environment"], run["id"]): run["status"] for run in shop.cli.run("list", "runs", "--json").json}
    assert found["dev", "long"] == "canceled"
    assert found["prod", "long"] in ("pending", "running")


def test_a_command_about_a_name_that_two_places_have_asks_which(shop: Site) -> None:
    shop.gated()
    shop.start("long", "gated")
    both(shop, "reconcile", "--once")

    told = shop.cli.run("cancel", "long", expect=1).stderr
    assert "shop/dev, shop/prod: say which with --project and --env" in told
    shop.cli.run("--env", "dev", "cancel", "long", "--wait", expect=None)
    statuses = {(run["metadata"]["environment"], run["id"]): run["status"] for run in shop.cli.run("list", "runs", "--json").json}
    assert (statuses["dev", "long"], statuses["prod", "long"] in ("pending", "running")) == ("canceled", True)


def test_two_data_folders_on_one_machine_do_not_know_of_each_other(shop: Site, tmp_path: Path) -> None:
    shop.gated()
    shop.start("long", "gated")
    second = Cli(shop.home, tmp_path / "second", cwd=shop.folder, env={"SHOP_TOKEN": "hunter2"})
    for cli in (shop.cli, second):
        cli.run("--env", "dev", "reconcile", "--once")
        eventually(lambda cli=cli: cli.run("status", "long", "--json").json["status"] == "running")  # type: ignore[misc]
    second.run("cancel", "long", "--wait", expect=None)

    assert second.run("status", "long", "--json").json["status"] == "canceled"
    assert shop.status("long")["status"] == "running"
    second.run("--env", "dev", "delete", "--all", "--yes")
    assert shop.status("long")["status"] == "running"


def test_parents_and_children_get_through_with_room_for_one(site: Site) -> None:
    site.settings("concurrency: 1\nadapters: {exec: {concurrency: 1, linger: 10ms}}\n")
    site.workflow("tree", "tree.py", TREE, concurrency={"limit": 1})
    site.start("root", "tree", input=3)

    site.finish("--timeout", "60s")

    assert site.status("root")["output"] == 3
    assert set(site.statuses().values()) == {"completed"}
    assert len(site.statuses()) == 4
