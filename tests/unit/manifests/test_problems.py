"""Problems as people, programs and GitHub read them."""

import json
from pathlib import Path

import pytest

from reconciler.manifests import report
from reconciler.model import Problem

PROBLEMS = [
    Problem("a.yaml", 3, 5, "/spec/x", "unknown field 'x'", "did you mean 'y'?", "run/r"),
    Problem("a\n\x1b[31m.yaml", 1, 1, "", "is a\u202e link", code="file", warning=True),
    Problem("w,1%.yaml", 2, 7, "/spec/adapter", "is disabled", "add to the settings:\nadapters:\n  docker: {}"),
]


def test_text_says_where_what_and_what_to_do() -> None:
    assert report(PROBLEMS, "text") == [
        "a.yaml:3:5: /spec/x: unknown field 'x' (did you mean 'y'?)",
        "a\\n\\x1b[31m.yaml:1:1: warning: is a\\u202e link",
        "w,1%.yaml:2:7: /spec/adapter: is disabled (add to the settings:)",
        "    adapters:",
        "      docker: {}",
    ]


def test_github_gets_annotations_that_nothing_breaks_out_of() -> None:
    assert report(PROBLEMS, "github") == [
        "::error file=a.yaml,line=3,col=5::/spec/x: unknown field 'x' (did you mean 'y'?)",
        "::error file=w%2C1%25.yaml,line=2,col=7::/spec/adapter: is disabled (add to the settings:%0Aadapters:%0A  docker: {})",
        "::warning file=a\\n\\x1b[31m.yaml,line=1,col=1::is a\u202e link",
    ]
    assert report(PROBLEMS[:1], "github", folder="deploy/") == [
        "::error file=deploy/a.yaml,line=3,col=5::/spec/x: unknown field 'x' (did you mean 'y'?)"
    ]


def test_github_gets_paths_that_start_where_the_command_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert report(PROBLEMS[:1], "github", folder=f"{tmp_path}/deploy")[0].startswith("::error file=deploy/a.yaml,")
    assert report(PROBLEMS[:1], "github", folder="/srv/m")[0].startswith("::error file=/srv/m/a.yaml,")


def test_json_is_versioned() -> None:
    shown = json.loads("\n".join(report(PROBLEMS, "json", folder="/srv/m")))

    assert (shown["format_version"], shown["folder"]) == (1, "/srv/m")
    assert shown["problems"][0] == {
        "severity": "error",
        "code": "invalid",
        "object": "run/r",
        "file": "a.yaml",
        "line": 3,
        "column": 5,
        "pointer": "/spec/x",
        "message": "unknown field 'x'",
        "hint": "did you mean 'y'?",
    }
    assert json.loads(report([], "json")[0])["problems"] == []


def test_no_problems_are_no_lines() -> None:
    assert report([], "text") == []
    assert report([], "github") == []
