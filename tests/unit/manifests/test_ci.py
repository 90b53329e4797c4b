"""Problems as GitHub, JUnit readers and SARIF viewers take them in."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

import pytest

from reconciler.manifests import LoadOptions, load, report
from reconciler.manifests.ci import junit, sarif
from reconciler.model import Desired, Problem

WORKFLOW = "apiVersion: ty-openworkflow/v1\nkind: Workflow\nmetadata: {name: w}\nspec: {runtime: python, code: {inline: 'x'}}\n"
BAD = 'apiVersion: ty-openworkflow/v1\nkind: Run\nmetadata: {name: bad}\nspec: {workflow: nope, prority: 1, cancel: "<&]]>\\u0007\'"}\n'


@pytest.fixture
def found(tmp_path: Path) -> Desired:
    folder = tmp_path / "flows & more"
    folder.mkdir()
    (folder / "good.yaml").write_text(WORKFLOW)
    (folder / "bad one.yaml").write_text(BAD)
    (folder / "broken.yaml").write_text("apiVersion: ty-openworkflow/v1\nkind: [\n")
    return load(folder, LoadOptions())


def test_junit_has_a_case_for_each_object_and_fails_those_with_problems(found: Desired) -> None:
    root = Xml.fromstring(junit([found]))

    assert root.tag == "testsuites"
    (suite,) = root
    cases = {case.attrib["name"]: case for case in suite}
    assert (suite.tag, suite.attrib["name"], suite.attrib["tests"], suite.attrib["failures"]) == ("testsuite", "default/default", "3", "2")
    assert {name: [element.tag for element in case] for name, case in cases.items()} == {
        "workflow/w": [],
        "run/bad": ["failure"],
        "broken.yaml": ["failure"],
    }
    failure = cases["run/bad"][0]
    assert "unknown field 'prority'" in str(failure.text)
    assert failure.attrib.keys() == {"message", "type"}
    assert all(case.attrib.keys() == {"name", "classname", "file", "time"} for case in suite)
    assert [root.attrib[name] for name in ("tests", "failures", "errors", "skipped")] == ["3", "2", "0", "0"]


def test_junit_shows_warnings_without_failing(found: Desired) -> None:
    warned = Desired("/f", found.place, problems=(Problem("a.yaml", 1, 1, "", "look", about="run/x", warning=True),))

    case = Xml.fromstring(junit([warned]))[0][0]

    assert [element.tag for element in case] == ["system-out"]
    assert "a.yaml:1:1: warning: look" in str(case[0].text)


def check_sarif(log: Any) -> None:
    """Check what section 3 of SARIF 2.1.0 demands of the objects that are used here."""
    assert log["version"] == "2.1.0"  # 3.13.2
    assert isinstance(log["runs"], list)  # 3.13.4
    for run in log["runs"]:
        driver = run["tool"]["driver"]  # 3.14.6, 3.18.2
        assert driver["name"]  # 3.19.8
        rules = driver["rules"]
        assert len({rule["id"] for rule in rules}) == len(rules)  # 3.19.23: unique
        assert all(rule["id"] and rule["shortDescription"]["text"].endswith(".") for rule in rules)  # 3.49.3, 3.49.9
        assert run["columnKind"] in ("utf16CodeUnits", "unicodeCodePoints")  # 3.14.17
        for result in run["results"]:
            assert rules[result["ruleIndex"]]["id"] == result["ruleId"]  # 3.27.5, 3.27.6
            assert result["level"] in ("none", "note", "warning", "error")  # 3.27.10
            assert result["message"]["text"]  # 3.27.11, 3.11.8
            assert all(isinstance(value, str) for value in result["partialFingerprints"].values())  # 3.27.17
            for location in result["locations"]:
                physical = location["physicalLocation"]
                uri = physical["artifactLocation"]["uri"]  # 3.4.3: a URI reference
                assert not uri.startswith("/")
                assert set(uri) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/%")
                assert physical["region"]["startLine"] >= 1  # 3.30.5
                assert physical["region"]["startColumn"] >= 1  # 3.30.6


def test_sarif_is_as_the_standard_demands(found: Desired) -> None:
    log = json.loads(sarif([found], version="1.2.3", root=str(Path(found.folder).parent)))

    check_sarif(log)
    results = log["runs"][0]["results"]
    places = {result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for result in results}
    assert places == {"flows%20%26%20more/bad%20one.yaml", "flows%20%26%20more/broken.yaml"}
    assert len({result["partialFingerprints"]["problem/v1"] for result in results}) == len(results) == len(found.problems)


def test_sarif_of_a_folder_without_problems_says_so(tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(WORKFLOW)

    log = json.loads(sarif([load(tmp_path, LoadOptions())], version="1", root=""))

    check_sarif(log)
    assert log["runs"][0]["results"] == []


def test_github_gets_ten_annotations_of_each_level_and_the_others_as_lines() -> None:
    errors = [Problem(f"{number:02}.yaml", 1, 1, "", "no", hint="so\n::error::fooled") for number in range(12)]
    warnings = [Problem(f"w{number}.yaml", 1, 1, "", "hm", warning=True) for number in range(11)]

    lines = report([*warnings, *errors], "github", folder="flows")

    commands = [line for line in lines if line.lstrip().startswith("::")]
    assert [line.split(" ")[0] for line in commands] == ["::error"] * 10 + ["::warning"] * 10
    assert commands[0] == "::error file=flows/00.yaml,line=1,col=1::no (so%0A::error::fooled)"
    rest = [line for line in lines if line not in commands]
    assert rest[0].startswith("2 more errors")
    assert "- 11.yaml:1:1: no (so)" in rest
    assert any(line.startswith("1 more warning,") for line in rest)
