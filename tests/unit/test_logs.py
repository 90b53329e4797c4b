"""The log of a loop: a line for each thing, readable by people or by programs, without secrets and control characters."""

import io
import json

import pytest

from reconciler.actions import Claim, Notice, Plan
from reconciler.errors import UsageError
from reconciler.hands import Applied, Failure
from reconciler.logs import Log
from reconciler.model import Status
from reconciler.pass_log import PassLog
from reconciler.reconcile import Report
from tests.support.builders import PLACE, an_active_run
from tests.support.world import HandClock


def a_log(form: str = "json", **more: object) -> tuple[Log, io.StringIO]:
    stream = io.StringIO()
    return Log(stream, HandClock(), form, **more), stream  # type: ignore[arg-type]


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_of_json_has_its_fields_and_nothing_that_is_empty() -> None:
    log, stream = a_log()

    log.info("start", object="run/x", action="start", reason="of greet", revision="", duration_ms=41, claim=2)

    assert lines(stream) == [
        {
            "time": "2026-11-22T12:00:00.000Z",
            "level": "info",
            "object": "run/x",
            "action": "start",
            "reason": "of greet",
            "duration_ms": 41,
            "message": "start",
            "claim": 2,
        }
    ]


def test_a_line_of_text_reads_from_left_to_right() -> None:
    log, stream = a_log("text")

    log.warning("the platform did not answer", object="run/x", reason="unavailable", detail="two words")

    assert stream.getvalue() == '2026-11-22T12:00:00.000Z  warning  run/x: the platform did not answer  reason=unavailable detail="two words"\n'


@pytest.mark.parametrize("form", ["text", "json"])
def test_secrets_and_control_characters_do_not_get_through(form: str) -> None:
    log, stream = a_log(form, secrets=["hunter2", "hunter22", ""])

    log.error("token hunter22 and hunter2\nsecond \x1b[31mline \u202e", object="run/x", extra={"deep": "hunter2"})

    text = stream.getvalue()
    assert "hunter" not in text
    assert text.count("***") == 3
    assert text.count("\n") == (2 if form == "text" else 1)  # what comes after a line break is indented, so that it is no line of the log's own
    assert form == "json" or "\n    second" in text
    assert "\x1b" not in text and "\u202e" not in text


def test_a_stream_that_is_gone_stops_nobody() -> None:
    log, stream = a_log()
    stream.close()

    log.info("start", object="run/x")


def test_another_form_is_refused() -> None:
    with pytest.raises(UsageError, match="choose one of text, json"):
        a_log("xml")


def test_a_pass_without_changes_logs_nothing() -> None:
    log, stream = a_log()

    PassLog(log).passed(Report(PLACE, Plan(unchanged=3), Applied()))

    assert stream.getvalue() == ""


def test_a_pass_logs_what_it_did_what_failed_and_what_ended() -> None:
    log, stream = a_log()
    ended = an_active_run("over", status=Status.FAILED, reason="timeout")
    plan = Plan((Claim(an_active_run("a"), 2, "wake", "due now"), Claim(an_active_run("b"), 2, "wake", "due now")))
    applied = Applied(failures=[Failure("run/b", "unavailable", "nobody answers", True)])

    PassLog(log).passed(Report(PLACE, plan, applied, (ended,)), revision="main@1234")

    found = [(line["level"], line.get("object", ""), line["message"]) for line in lines(stream)]
    assert found == [
        ("info", "run/a", "wake"),
        ("warning", "run/b", "nobody answers"),
        ("error", "run/over", "failed"),
        ("info", "", "pass"),
    ]


def test_what_is_refused_is_logged_when_it_begins_and_when_it_is_over() -> None:
    log, stream = a_log()
    passes = PassLog(log)
    refused = Report(PLACE, Plan(rejected=(Notice("run/x", "edited-after-start", "input changed"),)), Applied())

    for report in (refused, refused, Report(PLACE, Plan(), Applied())):
        passes.passed(report)

    assert [(line["level"], line["message"]) for line in lines(stream)] == [("warning", "input changed"), ("info", "resolved")]
