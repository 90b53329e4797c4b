"""The CI files in README are what their systems take, and their lines do what README says."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

import pytest
import yaml

from tests.support.cli import CHECKOUT, clean_environment
from tests.support.repository import commit, git, init
from tests.support.site import Site

GITHUB, GITLAB, HERE = ".github/workflows/flows.yml", ".gitlab-ci.yml", ".github/workflows/flows-here.yml"
ECHO = "def workflow(input, ctx):\n    return ctx.step('echo', lambda: input)\n"


def block(name: str) -> dict[str, Any]:
    """Return a YAML block of README by the file name in its first line; keys such as `on` stay text."""
    found = re.search(rf"```yaml\n# {re.escape(name)}\n(.*?)```", (CHECKOUT / "README.md").read_text(), re.DOTALL)
    assert found, f"README has no {name}"
    document = yaml.load(found[1], Loader=yaml.BaseLoader)
    assert isinstance(document, dict)
    return document


@pytest.mark.parametrize("name", [GITHUB, HERE])
def test_a_workflow_of_github_is_built_as_github_takes_it(name: str) -> None:
    workflow = block(name)

    assert workflow.keys() <= {"name", "on", "concurrency", "permissions", "jobs", "env"}
    assert workflow["on"].keys() <= {"pull_request", "push"}
    for job in workflow["jobs"].values():
        assert job.keys() <= {"runs-on", "env", "steps"}
        for step in job["steps"]:
            assert len(step.keys() & {"run", "uses"}) == 1
            assert step.keys() <= {"run", "uses", "with", "if", "env", "continue-on-error"}
            assert "uses" not in step or re.fullmatch(r"[\w-]+(/[\w-]+)+@v\d+", step["uses"])
            expressions = re.findall(r"\$\{\{ (.*?) \}\}", str(step))
            assert all(re.fullmatch(r"(github|vars)\.[\w.]+", expression) for expression in expressions)
            assert "${{ github." not in step.get("run", "")  # values of others come in through variables, never as a part of a script


def test_the_pipeline_of_gitlab_is_built_as_gitlab_takes_it() -> None:
    pipeline = block(GITLAB)

    jobs = {name: job for name, job in pipeline.items() if name not in ("default", "stages", "variables")}
    assert jobs.keys() == {"validate", "plan", "reconcile"}
    for job in jobs.values():
        assert job.keys() <= {"stage", "script", "rules", "artifacts", "cache", "resource_group"}
        assert job["stage"] in pipeline["stages"]
        assert all(isinstance(line, str) for line in job["script"])
        assert all(rule.keys() == {"if"} for rule in job.get("rules", ()))
    assert jobs["reconcile"]["resource_group"] == "flows"  # one pass at a time, and one cache


class Runner:
    """A machine that runs the shell lines of a CI file: other programs than ours do nothing."""

    def __init__(self, site: Site) -> None:
        self.site, self.programs = site, site.home / "programs"
        self.programs.mkdir()
        for name in ("pipx", "pip", "gh"):
            (self.programs / name).write_text(f'#!/bin/sh\necho "{name} $*" >> "{site.home}/called"\n')
        ours = self.programs / "ty-openworkflow"
        ours.write_text(f'#!/bin/sh\nPYTHONPATH="{CHECKOUT}" exec "{site.cli.command[0]}" -m reconciler "$@"\n')
        for path in self.programs.iterdir():
            path.chmod(0o755)

    def run(self, line: str, expect: int = 0, **variables: str) -> str:
        plain = clean_environment(self.site.home, **variables)
        environment = {
            **plain,
            "PATH": f"{self.programs}{os.pathsep}{plain['PATH']}",
            "CI": "true",
            "GITHUB_STEP_SUMMARY": str(self.site.home / "summary"),
        }
        line = re.sub(r"\$\{\{.*?\}\}", "something", line)
        done = subprocess.run(
            ["bash", "-eo", "pipefail", "-c", line], cwd=self.site.folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == expect, f"{line}: {done.stdout}{done.stderr}"
        return done.stdout


@pytest.fixture
def runner(site: Site) -> Runner:
    site.write("flows/ty-openworkflow.yaml", "apiVersion: ty-openworkflow/v1\nkind: Project\nmetadata: {name: shop}\nspec: {branch: main}\n")
    site.write("flows/echo.py", ECHO)
    site.declare("Workflow", "echo", {"code": {"file": "echo.py"}}, "flows/echo.yaml")
    site.declare("Run", "one", {"workflow": "echo", "input": 1}, "flows/one.yaml")
    init(site.folder)
    return Runner(site)


def test_the_lines_for_github_check_plan_and_carry_out(runner: Runner) -> None:
    job = block(GITHUB)["jobs"]["check"]
    steps = [step for step in job["steps"] if "run" in step]
    variables = {**job["env"], "NUMBER": "7"}

    git(runner.site.folder, "checkout", "-q", "--detach")  # a pull request
    for step in steps:
        if "push" not in step.get("if", ""):
            runner.run(step["run"], **variables)
    git(runner.site.folder, "checkout", "-q", "main")
    for step in steps:
        if "pull_request" not in step.get("if", ""):
            done = runner.run(step["run"], **variables)

    summary = (runner.site.home / "summary").read_text()
    assert summary.startswith("<!-- ty-openworkflow plan shop/default -->\n### Plan for `shop/default`: 2 changes")
    assert "gh pr comment 7 --edit-last --create-if-none --body-file plan.md" in (runner.site.home / "called").read_text()
    assert "run/one  completed" in done
    assert "No changes, 2 unchanged" in runner.run(steps[-1]["run"], **variables)  # the state was there


def test_the_lines_for_gitlab_check_plan_and_carry_out(runner: Runner) -> None:
    pipeline = block(GITLAB)
    git(runner.site.folder, "update-ref", "refs/remotes/origin/main", "main")
    git(runner.site.folder, "checkout", "-q", "--detach")
    git(runner.site.folder, "branch", "-D", "main")

    for line in [*pipeline["default"]["before_script"], *(line for name in ("validate", "plan", "reconcile") for line in pipeline[name]["script"])]:
        done = runner.run(line, **pipeline["variables"], TY_OPENWORKFLOW="a wheel")

    report = Xml.parse(runner.site.folder / pipeline["validate"]["artifacts"]["reports"]["junit"]).getroot()
    assert (report.tag, report.attrib["failures"]) == ("testsuites", "0")
    assert "run/one  completed" in done
    assert Path(runner.site.folder, pipeline["plan"]["artifacts"]["paths"][0]).read_text().startswith("<!-- ty-openworkflow plan shop/default -->")


def test_the_line_for_a_machine_of_ones_own_takes_what_was_pushed(runner: Runner) -> None:
    (step,) = block(HERE)["jobs"]["reconcile"]["steps"]
    clone = runner.site.home / "srv"
    git(runner.site.home, "clone", "-q", str(runner.site.folder), str(clone))
    runner.site.declare("Run", "two", {"workflow": "echo", "input": 2}, "flows/two.yaml")
    second = commit(runner.site.folder, "second")

    done = runner.run(step["run"], FLOWS=str(clone / "flows"))

    assert f"main@{second[:12]}" in done
    assert "run/two  completed" in done
    assert git(clone, "rev-parse", "HEAD") != second
