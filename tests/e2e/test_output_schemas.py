"""What programs are shown fits the schemas that are shipped."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from reconciler.assets import asset
from reconciler.journal import decode_lines
from tests.support.cli import Cli

WORKFLOWS = """
apiVersion: ty-openworkflow/v1
kind: Workflow
metadata: {name: greet}
spec:
  runtime: python
  code: {inline: "def workflow(input, ctx):\\n    ctx.sleep('nap', 0.01)\\n    return ctx.step('greet', lambda: input)"}
---
apiVersion: ty-openworkflow/v1
kind: Workflow
metadata: {name: fail}
spec:
  runtime: python
  steps: {retry: {maxAttempts: 2, initialInterval: 1ms}}
  code: {inline: "def workflow(input, ctx):\\n    ctx.step('no', lambda: 1 / 0)"}
---
apiVersion: ty-openworkflow/v1
kind: Schedule
metadata: {name: nightly, labels: {team: web}}
spec: {cron: 30 2 * * *, timeZone: Europe/Berlin, startDeadline: 1h, jitter: 30s, keep: {completed: 10}, run: {workflow: greet, input: "${slot.iso}"}}
---
apiVersion: ty-openworkflow/v1
kind: Schedule
metadata: {name: suspended}
spec: {every: 1h, suspend: true, run: {workflow: greet}}
---
apiVersion: ty-openworkflow/v1
kind: Run
metadata: {name: greet-world}
spec: {workflow: greet, input: {name: World}}
---
apiVersion: ty-openworkflow/v1
kind: Run
metadata: {name: fails}
spec: {workflow: fail}
"""


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    (tmp_path / "work").mkdir()
    (tmp_path / "work/all.yaml").write_text(WORKFLOWS)
    return Cli(tmp_path / "home", tmp_path / "data")


def check(name: str, value: Any) -> None:
    schema = json.loads(asset("schemas", f"{name}.schema.json").read_text())
    jsonschema.Draft7Validator.check_schema(schema)
    jsonschema.Draft7Validator(schema).validate(value)


def test_plans_passes_lists_and_runs_fit_their_schemas(cli: Cli, tmp_path: Path) -> None:
    work = str(tmp_path / "work")

    check("plan", json.loads(cli.run("plan", work, "--json").stdout))
    check("plan", json.loads(cli.run("reconcile", "--once", "--wait", work, "--json", expect=5).stdout))
    for run in json.loads(cli.run("list", "runs", "--json").stdout):
        check("status", run)
    for workflow in json.loads(cli.run("list", "workflows", "--json").stdout):
        check("workflow-status", workflow)
    for schedule in json.loads(cli.run("list", "schedules", "--json").stdout):
        check("schedule-status", schedule)
    check("schedule-status", json.loads(cli.run("status", "schedule/nightly", "--json").stdout))
    check("backfill", json.loads(cli.run("start", "schedule/nightly", "--from", "2026-01-01", "--to", "2026-01-03", "--json").stdout))
    check("status", json.loads(cli.run("start", "schedule/nightly", "--wait", "--json").stdout))
    check("status", json.loads(cli.run("status", "nightly-20260101t0130z", "--json").stdout))
    failed = json.loads(cli.run("status", "fails", "--json").stdout)
    check("status", failed)
    assert (failed["status"], failed["error"]["name"], failed["steps"][0]["attempts"]) == ("failed", "ZeroDivisionError", 2)


def test_records_of_journals_fit_their_schema(cli: Cli, tmp_path: Path) -> None:
    cli.run("reconcile", "--once", "--wait", str(tmp_path / "work"), expect=5)

    for journal in (tmp_path / "data/exec/runs").glob("*.journal.jsonl"):
        for record in decode_lines(journal.read_bytes()):
            check("journal", record)
