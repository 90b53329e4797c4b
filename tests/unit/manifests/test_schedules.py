"""Schedules as they are declared: what is refused with its place, and what is worth a warning."""

from pathlib import Path

import pytest

from reconciler.manifests import schedule_remarks
from tests.unit.manifests.folders import WORKFLOW, a_manifest, a_workflow, loaded, together, write


@pytest.mark.parametrize(
    ("spec", "pointer", "line", "column"),
    [
        ("\n  cron: '0 0 30 2 *'\n  run: {workflow: greet}", "/spec/cron", 11, 9),
        ("\n  cron: '@reboot'\n  run: {workflow: greet}", "/spec/cron", 11, 9),
        ("\n  every: 1500ms\n  run: {workflow: greet}", "/spec/every", 11, 10),
        ("\n  every: 1h\n  timeZone: right/UTC\n  run: {workflow: greet}", "/spec/timeZone", 12, 13),
        ("\n  every: 1h\n  run: {workflow: greet, input: {a: '${slot.day}'}}", "/spec/run/input/a", 12, 37),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, spec: str, pointer: str, line: int, column: int) -> None:
    write(tmp_path, {"a.yaml": together(WORKFLOW, a_manifest("Schedule", "nightly", spec))})

    (problem,) = loaded(tmp_path).problems

    assert (problem.pointer, problem.line, problem.column, problem.warning) == (pointer, line, column, False)


def test_a_slot_that_there_is_not_names_those_that_there_are(tmp_path: Path) -> None:
    spec = '{every: 1h, run: {workflow: greet, input: ["${slot.date}", "${slot.day}"]}}'
    write(tmp_path, {"a.yaml": together(WORKFLOW, a_manifest("Schedule", "s", spec))})

    (problem,) = loaded(tmp_path).problems

    assert problem.message == "unknown reference ${slot.day}"
    assert problem.hint == "a slot has ${slot.date}, ${slot.time}, ${slot.iso}, ${slot.utc}"


def test_the_input_of_a_slot_is_checked_as_far_as_it_can_be_known(tmp_path: Path) -> None:
    schema = "{type: object, properties: {day: {type: string, pattern: '^[0-9]{4}-'}, number: {type: integer}, only: {enum: ['2026-01-05']}}}"
    workflow = a_workflow("greet", f"{{code: {{inline: x}}, input: {{schema: {schema}}}}}")

    def a_schedule(name: str, given: str) -> str:
        return a_manifest("Schedule", name, f"{{every: 1h, run: {{workflow: greet, input: {given}}}}}")

    declared = [
        a_schedule("good", '{day: "${slot.date}", number: 5}'),
        a_schedule("perhaps", '{only: "${slot.date}"}'),
        a_schedule("text", '{number: "${slot.date}"}'),
        a_schedule("other", '{day: "on ${slot.date}"}'),
        a_schedule("beside", '{day: "${slot.date}", number: "5"}'),
    ]
    write(tmp_path, {"a.yaml": together(workflow, *declared)})

    found = loaded(tmp_path)

    assert set(found.schedules) == {"good", "perhaps"}
    assert [(problem.about, problem.pointer) for problem in found.problems] == [
        ("schedule/text", "/spec/run/input/number"),
        ("schedule/other", "/spec/run/input/day"),
        ("schedule/beside", "/spec/run/input/number"),
    ]


@pytest.mark.parametrize(
    ("when", "told"),
    [
        ("cron: '30 2 * * *', timeZone: Europe/Berlin", ["02:30 does not exist when", "02:30 comes twice when"]),
        ("cron: '*/10 2 * * 1-5', timeZone: Europe/Berlin", ["02:00 (and 5 more) does not exist", "02:00 (and 5 more) comes twice"]),
        ("cron: '@daily', timeZone: Africa/Cairo", ["00:00 does not exist"]),
        ("cron: '30 23 * * *', timeZone: Africa/Cairo", ["23:30 comes twice"]),
        ("cron: '30 1 * * *', timeZone: America/New_York", ["01:30 comes twice"]),
        ("cron: '0 3 * * *', timeZone: Europe/Berlin", []),
        ("cron: '30 * * * *', timeZone: Europe/Berlin", []),
        ("cron: '30 2 * * *', timeZone: Asia/Tokyo", []),
        ("cron: '30 2 * * *'", []),
        ("every: 1h, timeZone: Europe/Berlin", []),
    ],
)
def test_hours_that_a_clock_skips_or_shows_twice_are_warned_of(tmp_path: Path, when: str, told: list[str]) -> None:
    write(tmp_path, {"a.yaml": together(WORKFLOW, a_manifest("Schedule", "nightly", f"\n  {{{when}, run: {{workflow: greet}}}}"))})

    found = schedule_remarks(loaded(tmp_path))

    assert len(found) == len(told)
    assert all(expected in problem.message for problem, expected in zip(found, told, strict=True))
    assert all((problem.warning, problem.file, problem.line, problem.pointer) == (True, "a.yaml", 11, "/spec/cron") for problem in found)


def test_all_missed_slots_with_a_policy_that_leaves_them_out_is_warned_of(tmp_path: Path) -> None:
    spec = "{every: 1h, catchUp: all, run: {workflow: greet}}"
    write(
        tmp_path,
        {
            "a.yaml": together(
                WORKFLOW, a_manifest("Schedule", "nightly", spec), a_manifest("Schedule", "b", spec.replace("run", "overlap: allow, run"))
            )
        },
    )

    assert [problem.message for problem in schedule_remarks(loaded(tmp_path))] == [
        "of several missed slots, overlap: skip leaves out all but the oldest"
    ]
