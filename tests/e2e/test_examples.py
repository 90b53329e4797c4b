"""Each example, carried out by the real command line."""

import csv
import os
import re
import shutil
import subprocess
from collections import defaultdict
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import CHECKOUT, Cli, Result

EXAMPLES = CHECKOUT / "examples" / "workflows"


@pytest.fixture(scope="module")
def carried_out(tmp_path_factory: pytest.TempPathFactory) -> tuple[Cli, Result]:
    """Reconcile all examples once, and wait for their runs."""
    node = shutil.which("node")
    fits = node is not None and subprocess.run([node, "-e", "process.exit(require('zlib').crc32 ? 0 : 1)"], check=False).returncode == 0
    if not fits and os.environ.get("CI") != "true":
        pytest.skip("node 20.15 or 22.2, or newer, is not installed here")
    folder = tmp_path_factory.mktemp("examples")
    (folder / "home").mkdir()
    cli = Cli(folder / "home", folder / "data")
    return cli, cli.run("reconcile", "--once", "--wait", str(EXAMPLES))


def test_every_example_has_one_run_and_it_completes(carried_out: tuple[Cli, Result]) -> None:
    cli, _ = carried_out

    runs = cli.run("list", "runs", "--json").json

    declared = [run["workflow_id"] for run in runs if run["metadata"]["parent"] is None]
    assert sorted(declared) == sorted(folder.name for folder in EXAMPLES.iterdir() if folder.is_dir())
    assert {run["id"]: run["status"] for run in runs if run["status"] != "completed"} == {}


def test_a_second_pass_over_the_examples_does_nothing(carried_out: tuple[Cli, Result]) -> None:
    cli, _ = carried_out

    plan = cli.run("plan", str(EXAMPLES), "--json", "--detailed-exitcode").json

    assert plan["changes"] == []


def test_greet_says_hello_and_sleeps_five_seconds(carried_out: tuple[Cli, Result]) -> None:
    run = status(carried_out, "greet-world")

    assert run["output"]["message"] == "Hello, World!"
    assert [step["key"] for step in run["steps"]] == ["greet", "wait", "complete"]
    assert run["output"]["timestamp"] - milliseconds(run["started_at"]) >= 5000


def test_greet_is_the_documented_code_byte_for_byte() -> None:
    documented = """\
async function workflow(input, { step, sleep }) {
  const greeting = await step("greet", () => `Hello, ${input.name}!`);
  await sleep("wait", 5000);
  return await step("complete", () => ({ message: greeting, timestamp: Date.now() }));
}
"""

    assert (EXAMPLES / "greet" / "greet.js").read_text() == documented


def test_report_adds_up_the_sales_it_is_shipped_with(carried_out: tuple[Cli, Result]) -> None:
    cents: dict[str, int] = defaultdict(int)
    with open(EXAMPLES / "report" / "code" / "sales.csv", newline="") as rows:
        for row in csv.DictReader(rows):
            cents[row["date"][:7]] += int(row["quantity"]) * int(row["unit_price"].replace(".", ""))

    output = status(carried_out, "report-2025")["output"]

    assert {month: int(Decimal(total) * 100) for month, total in output["months"].items()} == cents
    report = Path(output["report"]).read_text()
    assert report.count("\n| 2025-") == 12
    assert f"{Decimal(sum(cents.values())) / 100:.2f}" in report


def test_fan_out_tries_the_one_step_that_fails_again(carried_out: tuple[Cli, Result]) -> None:
    run = status(carried_out, "fan-out-teapot")

    assert {step["name"]: step["attempts"] for step in run["steps"]} == {"quote from Anna": 1, "quote from Bernd": 2, "quote from Chris": 1}
    assert run["output"]["best"] == {"supplier": "Bernd", "price": 19.9, "attempt": 2}
    cli, _ = carried_out
    assert "Bernd sells a teapot for 19.9, said on try 2" in cli.run("logs", "run/fan-out-teapot").stdout


def test_disk_usage_uses_its_package_from_pypi(carried_out: tuple[Cli, Result]) -> None:
    output = status(carried_out, "disk-usage-root")["output"]

    assert re.fullmatch(r"[\d.]+ [KMGTP]iB of [\d.]+ [KMGTP]iB are used", output["summary"])
    assert output["free_bytes"] >= 0


def test_coupons_uses_two_modules_and_its_package_from_npm(carried_out: tuple[Cli, Result]) -> None:
    output = status(carried_out, "coupons-spring")["output"]

    assert len(set(output["codes"])) == 5
    assert all(re.fullmatch(r"SPRING-[A-Z2-9]{8}", code) for code in output["codes"])
    assert re.fullmatch(r"[0-9a-f]{16}", output["checksum"])


def test_the_openworkflow_example_waits_for_its_signal_and_gets_the_labels_of_its_child(carried_out: tuple[Cli, Result]) -> None:
    run = status(carried_out, "openworkflow-order")

    number = "openworkflow-order-1"
    assert run["output"] == {"number": number, "item": "teapot", "labels": [f"{number}/1", f"{number}/2"]}
    assert [step["kind"] for step in run["steps"]] == ["step", "sleep", "signal", "child"]
    shim = (EXAMPLES / "openworkflow" / "code" / "openworkflow.mjs").read_text()
    assert "import " not in shim
    assert len([line for line in shim.splitlines() if line.strip()]) <= 30


def test_the_approval_says_who_approved(carried_out: tuple[Cli, Result]) -> None:
    assert status(carried_out, "approval-db1")["output"] == {"upgraded": True, "approved_by": "ana"}


def test_the_payment_is_charged_once(carried_out: tuple[Cli, Result]) -> None:
    run = status(carried_out, "payment-4711")

    assert run["output"]["charged"] == [1, 1999]
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", run["output"]["order"])


def test_the_digest_is_written_for_every_week_that_is_filled_in(carried_out: tuple[Cli, Result], tmp_path: Path) -> None:
    assert status(carried_out, "digest-2026-11-16")["output"] == {"title": "Week 2026-11-09 to 2026-11-15", "days": 7}
    cli = Cli(tmp_path, tmp_path / "data")
    cli.run("reconcile", "--once", "--wait", str(EXAMPLES / "digest"))

    cli.run("start", "schedule/digest-weekly", "--from", "2025-10-20", "--to", "2025-10-27", "--wait")

    written = {run["id"]: run["output"]["title"] for run in cli.run("list", "runs", "--json").json}
    assert written == {
        "digest-2026-11-16": "Week 2026-11-09 to 2026-11-15",
        "digest-weekly-20251020t0400z": "Week 2025-10-13 to 2025-10-19",
        "digest-weekly-20251027t0500z": "Week 2025-10-20 to 2025-10-26",
    }


def test_the_schedule_of_the_examples_is_suspended_so_that_make_run_does_the_same_at_any_time(carried_out: tuple[Cli, Result]) -> None:
    cli, _ = carried_out

    (view,) = cli.run("list", "schedules", "--json").json

    assert (view["id"], view["status"], view["next"]) == ("digest-weekly", "suspended", [])


def test_no_lock_file_names_a_registry() -> None:
    assert [path for path in EXAMPLES.rglob("package-lock.json") if '"resolved"' in path.read_text()] == []


def status(carried_out: tuple[Cli, Result], run: str) -> dict[str, Any]:
    cli, _ = carried_out
    view: dict[str, Any] = cli.run("status", f"run/{run}", "--json").json
    assert view["status"] == "completed"
    return view


def milliseconds(instant: str) -> float:
    return datetime.fromisoformat(instant).timestamp() * 1000
