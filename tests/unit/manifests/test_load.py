"""What a folder declares, and what is said about what is wrong in it."""

import os
from pathlib import Path

import pytest

from reconciler.errors import InvalidError
from reconciler.manifests import LoadOptions, load
from reconciler.model import Place
from tests.unit.manifests.folders import RUN, WORKFLOW, a_manifest, a_run, a_workflow, lines, loaded, together, write


def test_a_folder_declares_what_its_files_say(tmp_path: Path) -> None:
    write(tmp_path, {"deep/down/w.yml": WORKFLOW, "r.yaml": together(RUN, a_run("second"))})

    desired = loaded(tmp_path)

    assert desired.place == Place("default", "default")
    assert set(desired.workflows) == {"greet"}
    assert list(desired.runs) == ["greet-world", "second"]
    assert (desired.runs["second"].source.file, desired.runs["second"].source.line) == ("r.yaml", 8)
    assert desired.complete
    assert not desired.problems
    assert not desired.invalid


def test_every_field_of_a_run_arrives(tmp_path: Path) -> None:
    spec = """{workflow: greet, input: [1], task: {title: T}, cancel: true, suspend: true, rerun: again, startAfter: "2026-12-01T08:00:00Z",
      startDeadline: 1h30m, dependsOn: [run/other], priority: -5, signals: {ok: {by: ana}}, onChange: rerun, onDelete: orphan, prune: confirm}"""
    write(tmp_path, {"a.yaml": together(WORKFLOW, a_run("other"), a_run("full", spec, "labels: {team: web}"))})

    run = loaded(tmp_path).runs["full"]

    assert (run.input, run.task, run.cancel, run.suspend, run.rerun) == ([1], {"title": "T"}, True, True, "again")
    assert run.start_after is not None
    assert run.start_after.isoformat() == "2026-12-01T08:00:00+00:00"
    assert run.start_deadline is not None
    assert run.start_deadline.total_seconds() == 5400
    assert (run.depends_on, run.priority, run.signals) == (("run/other",), -5, {"ok": {"by": "ana"}})
    assert (run.on_change, run.on_delete, run.prune, run.labels) == ("rerun", "orphan", "confirm", {"team": "web"})


def test_every_field_of_a_workflow_arrives(tmp_path: Path) -> None:
    spec = """
  title: Greeter
  description: Says hello.
  version: "1.0"
  code: {inline: x}
  runtime: python
  input: {schema: {type: object}}
  env: {B: {secret: token}, A: {value: text}, C: {value: 5}, D: {value: true}}
  retry: {maxAttempts: 3}
  steps: {retry: {maxAttempts: 0, initialInterval: 2s, factor: 1.5, maxInterval: 1m, jitter: false}, timeout: 10m}
  timeout: 1h
  cancel: {grace: 5s}
  signals: {ok: {schema: {type: object}}}
  concurrency: {limit: 7}
  keep: {completed: 30d, failed: 100}
  exec: {runsPerWorker: 4}
  docker: {memory: 512MiB}
"""
    write(tmp_path, {"a.yaml": f"apiVersion: ty-openworkflow/v1\nkind: Workflow\nmetadata: {{name: greet}}\nspec:{spec}"})

    workflow = loaded(tmp_path).workflows["greet"]

    assert (workflow.title, workflow.version, workflow.runtime, workflow.adapter) == ("Greeter", "1.0", "python", "exec")
    assert [(item.name, item.value, item.secret) for item in workflow.env] == [
        ("A", "text", None),
        ("B", None, "token"),
        ("C", "5", None),
        ("D", "true", None),
    ]
    assert (workflow.retry.max_attempts, workflow.retry.factor) == (3, 2)
    assert (workflow.step_retry.max_attempts, workflow.step_retry.factor, workflow.step_retry.jitter) == (0, 1.5, False)
    assert workflow.step_timeout is not None
    assert workflow.timeout is not None
    assert (workflow.step_timeout.total_seconds(), workflow.timeout.total_seconds()) == (600, 3600)
    assert (workflow.grace.total_seconds(), workflow.cleanup.total_seconds(), workflow.concurrency) == (5, 60, 7)
    assert workflow.block == {"runsPerWorker": 4}
    assert workflow.code.files.keys() == {"workflow.py"}


def test_documents_of_others_live_beside_manifests_in_peace(tmp_path: Path) -> None:
    lock = b"lockfileVersion: '9.0'\npackages:\n" + b"".join(b"  /pkg-%d@1.0.0: {resolution: {integrity: x}}\n" % n for n in range(100_000))
    files: dict[str, str | bytes] = {
        ".github/workflows/ci.yml": "on: [push]\njobs: {test: {runs-on: x, steps: [{run: pip install ty-openworkflow}]}}\n",
        ".gitlab-ci.yml": "test: {script: !reference [.a, b]}\n",
        "compose.yaml": "services: &a {web: {<<: {b: 1}}}\nx: *a\n",
        "chart/templates/a.yaml": "{{- if .Values.x }}\na: b: c\n{{ end }}\n",
        "pnpm-lock.yaml": lock,
        "k8s.yaml": "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {name: x}\n---\napiVersion: v1\nkind: List\n",
        "latin.yaml": b"a: \xff\n",
        "node_modules/x/run.yaml": RUN,
        ".venv/run.yaml": RUN,
        ".git/run.yaml": RUN,
        "__pycache__/run.yaml": RUN,
        "empty.yaml": "",
        "notes.txt": RUN,
        ".#run.yaml.swp": RUN,
        "three.yaml": together(WORKFLOW, RUN, a_run("second")),
    }
    write(tmp_path, files)
    (tmp_path / ".#three.yaml").symlink_to("ana@host.1234")

    desired = loaded(tmp_path)

    assert (len(desired.workflows), len(desired.runs)) == (1, 2)
    assert not desired.problems
    assert desired.complete
    assert desired.foreign == 8
    assert desired.files == 1


def test_every_problem_is_told_at_once_with_its_place_and_advice(tmp_path: Path) -> None:
    text = """\
apiVersion: ty-openworkflow/v1
kind: Run
metadata: {name: Greet_World}
spec:
  worflow: greet
  workflow: greeet
  cancel: yes
  startDeadline: 30
  priority: high
  onChange: Reject
  dependsOn: [other]
  input: 1
"""
    write(tmp_path, {"w.yaml": WORKFLOW, "r.yaml": text})

    desired = loaded(tmp_path)

    found = {problem.pointer: problem for problem in desired.problems}
    assert found["/metadata/name"].hint == "did you mean 'greet-world'?"
    assert (found["/spec/worflow"].line, found["/spec/worflow"].column) == (5, 3)
    assert found["/spec/worflow"].hint == "did you mean 'workflow'?"
    assert found["/spec/cancel"].message == "expected true or false, found 'yes'"
    assert found["/spec/cancel"].hint == "write true"
    assert found["/spec/startDeadline"].hint == "a duration has a unit, such as 30s"
    assert (found["/spec/priority"].line, found["/spec/priority"].column) == (9, 13)
    assert found["/spec/onChange"].hint == "did you mean 'reject'?"
    assert "write run/NAME" in found["/spec/dependsOn/0"].message
    assert found["/spec/workflow"].hint == "did you mean 'greet'?"
    assert len(desired.problems) == 8
    assert not desired.runs


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("{workflow: greet, input: 1, inputFile: a.json}", "only one can be"),
        ('{workflow: greet, startAfter: "2026-13-01T00:00:00Z"}', "is not an instant"),
        ('{workflow: greet, startAfter: "2026-12-01"}', "is not an instant"),
        ("{workflow: greet, startDeadline: 99999999d}", "longer than a hundred years"),
        ("{workflow: greet, startDeadline: -5s}", "is not a duration"),
        ("{workflow: greet, task: {id: 4, title: x}}", "only linked"),
        ("{workflow: greet, task: maybe}", "expected true or false or a mapping"),
        ("{workflow: greet, dependsOn: [run/a, run/a]}", "is there twice"),
        ("{workflow: greet, rerun: 5}", "expected text, found 5"),
        ("{workflow: greet, rerun: 2026-01-01, input: {a: 1, a: 2}}", "the key 'a' is there twice"),
        ("{workflow: greet, input: {1: 2}}", "the key '1' is not a string"),
        ("{workflow: greet, input: !!str x}", "is not read"),
        ("{workflow: 7}", "expected text, found 7"),
        ("{workflow: null}", "expected text, found nothing"),
        ("{}", "'workflow' is missing"),
        ("[]", "expected a mapping, found a list"),
        ("text", "expected a mapping, found 'text'"),
        ("", "'spec' is missing"),
    ],
)
def test_a_run_that_is_wrong_is_refused(tmp_path: Path, spec: str, message: str) -> None:
    write(tmp_path, {"w.yaml": WORKFLOW, "r.yaml": a_run("wrong", spec)})

    desired = loaded(tmp_path)

    assert any(message in line for line in lines(desired)), lines(desired)
    assert desired.invalid == {"run/wrong"}
    assert set(desired.workflows) == {"greet"}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("{}", "'code' is missing"),
        ("{code: {}}", "needs one of"),
        ("{code: {file: a.js, inline: x}}", "has file and inline: only one can be"),
        ("{code: {inline: x, entry: y}}", "goes with dir only"),
        ("{code: {inline: x}, runtime: deno}", "'deno' is not one of node, python"),
        ("{code: {inline: x}, adapter: Exec}", "is not one of"),
        ("{code: {inline: x}, timeout: 0s}", "is too short"),
        ("{code: {inline: x}, steps: {timeout: 10}}", "expected text, found 10"),
        ("{code: {inline: x}, retry: {maxAttempts: -1}}", "-1 is below 0"),
        ("{code: {inline: x}, retry: {factor: 0}}", "0 is below 1"),
        ("{code: {inline: x}, retry: {attempts: 3}}", "unknown field 'attempts'"),
        ("{code: {inline: x}, concurrency: {limit: 0}}", "0 is below 1"),
        ("{code: {inline: x}, env: {A: {value: a, secret: b}}}", "takes only one of value, secret"),
        ("{code: {inline: x}, env: {A: text}}", "expected a mapping"),
        ("{code: {inline: x}, env: {1A: {value: a}}}", "is not a name of a variable"),
        ('{code: {inline: x}, env: {A: {value: "a\\0b"}}}', "holds a NUL character"),
        ("{code: {inline: x}, version: 1.0}", "expected text, found 1.0"),
        ("{code: {inline: x}, keep: {completed: -1}}", "-1 is below 0"),
        ("{code: {inline: x}, keep: {completed: soon}}", "is not a duration"),
        ("{code: {inline: x}, input: {schema: {type: objekt}}}", "not a JSON Schema"),
        ("{code: {inline: x}, input: {schema: {$ref: 'http://example.test/x'}}}", "is somewhere else"),
        ("{code: {inline: x}, input: {schema: {$schema: 'http://json-schema.org/draft-04/schema#'}}}", "is not read here"),
        ("{code: {inline: x}, input: {schema: {pattern: '('}}}", "not a JSON Schema"),
        ("{code: {inline: x}, signals: {ok: {schema: {type: 5}}}}", "not a JSON Schema"),
        ("{code: {inline: x}, docker: {privileged: true}}", "unknown field 'privileged'"),
        ("{code: {inline: x}, docker: {memory: 5 potatoes}}", "is not a size"),
        ("{code: {inline: x}, exec: {runsPerWorker: 0}}", "0 is below 1"),
        ('{code: {inline: x}, title: "a\\nb"}', "must be one line"),
    ],
)
def test_a_workflow_that_is_wrong_is_refused(tmp_path: Path, spec: str, message: str) -> None:
    write(tmp_path, {"w.yaml": together(a_workflow("wrong", spec), WORKFLOW)})

    desired = loaded(tmp_path)

    assert any(message in line for line in lines(desired)), lines(desired)
    assert desired.invalid == {"workflow/wrong"}
    assert set(desired.workflows) == {"greet"}


@pytest.mark.parametrize(
    "cron", ["30 2 * * 1-5", "*/15 * * * *", "0 0 1 jan,jul *", "0 12 * * sun", "5 4 * * fri-sun", "@daily", "@hourly", "0 0-6/2 1,15 * 7"]
)
def test_a_schedule_is_taken(tmp_path: Path, cron: str) -> None:
    spec = f'{{cron: "{cron}", timeZone: Europe/Berlin, overlap: queue, catchUp: all, startDeadline: 1h, jitter: 30s, run: {{workflow: greet}}}}'
    write(tmp_path, {"a.yaml": together(WORKFLOW, a_manifest("Schedule", "nightly", spec))})

    desired = loaded(tmp_path)

    assert not desired.problems
    assert desired.schedules["nightly"].spec["cron"] == cron


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("{run: {workflow: greet}}", "needs cron or every"),
        ("{cron: '@daily', every: 1h, run: {workflow: greet}}", "only one can be"),
        ("{cron: '* * * *', run: {workflow: greet}}", "4 fields and not five"),
        ("{cron: '0 0 0 * * *', run: {workflow: greet}}", "6 fields and not five"),
        ("{cron: '60 * * * *', run: {workflow: greet}}", "60 is not between 0 and 59"),
        ("{cron: '* * 0 * *', run: {workflow: greet}}", "0 is not between 1 and 31"),
        ("{cron: '* * * * 8', run: {workflow: greet}}", "8 is not between 0 and 7"),
        ("{cron: '* * * foo *', run: {workflow: greet}}", "foo is not between"),
        ("{cron: '* * L * *', run: {workflow: greet}}", "is not understood"),
        ("{cron: '5-1 * * * *', run: {workflow: greet}}", "goes backwards"),
        ("{cron: '*/0 * * * *', run: {workflow: greet}}", "goes nowhere"),
        ("{cron: '@dayly', run: {workflow: greet}}", "is not a time"),
        ("{every: 15, run: {workflow: greet}}", "expected text, found 15"),
        ("{every: 10ms, run: {workflow: greet}}", "is too short"),
        ("{every: 1h, timeZone: Europe/Berln, run: {workflow: greet}}", "there is no time zone"),
        ("{every: 1h, timeZone: ../../etc/passwd, run: {workflow: greet}}", "there is no time zone"),
        ("{every: 1h, timeZone: +02:00, run: {workflow: greet}}", "there is no time zone"),
        ("{every: 1h, overlap: Forbid, run: {workflow: greet}}", "is not one of"),
        ("{every: 1h, run: {workflow: gret}}", "there is no workflow 'gret'"),
        ("{every: 1h}", "'run' is missing"),
    ],
)
def test_a_schedule_that_is_wrong_is_refused(tmp_path: Path, spec: str, message: str) -> None:
    write(tmp_path, {"a.yaml": together(WORKFLOW, a_manifest("Schedule", "nightly", spec))})

    desired = loaded(tmp_path)

    assert any(message in line for line in lines(desired)), lines(desired)
    assert desired.invalid == {"schedule/nightly"}


def test_the_name_of_a_schedule_leaves_room_for_the_time(tmp_path: Path) -> None:
    spec = "{every: 1h, run: {workflow: greet}}"
    write(tmp_path, {"a.yaml": together(WORKFLOW, a_manifest("Schedule", "a" * 46, spec), a_manifest("Schedule", "b" * 47, spec))})

    assert loaded(tmp_path).invalid == {f"schedule/{'b' * 47}"}


@pytest.mark.parametrize("name", ["a", "a-b", "0", "a" * 63, "x--y", '"1"'])
def test_dns_labels_are_names(tmp_path: Path, name: str) -> None:
    write(tmp_path, {"a.yaml": together(WORKFLOW, a_run(name) if name != "0" else a_run('"0"'))})

    assert not loaded(tmp_path).problems


@pytest.mark.parametrize(
    "name",
    [
        '""',
        "A",
        "a_b",
        "-a",
        "a-",
        "a.b",
        "a/b",
        "../a",
        '"a\\n"',
        '"a b"',
        "é",
        "a" * 64,
        '"a\\0"',
        "\uff41",
        '"%2e"',
        "1",
        "null",
        "true",
        "[a]",
        '"\\u202ea"',
    ],
)
def test_nothing_else_is_a_name(tmp_path: Path, name: str) -> None:
    write(tmp_path, {"a.yaml": together(WORKFLOW, a_run(name))})

    desired = loaded(tmp_path)

    assert any(problem.pointer == "/metadata/name" for problem in desired.problems)
    assert not desired.runs


def test_one_bad_object_harms_no_other(tmp_path: Path) -> None:
    files = {f"bad-{n}.yaml": together(a_run(f"bad-{n}", "{wrong: 1}"), a_run(f"good-{n}")) for n in range(20)}
    write(tmp_path, {"w.yaml": WORKFLOW, **files, "broken.yaml": "apiVersion: ty-openworkflow/v1\nkind: [\n"})

    desired = loaded(tmp_path)

    assert set(desired.runs) == {f"good-{n}" for n in range(20)}
    assert desired.invalid == {f"run/bad-{n}" for n in range(20)}
    assert not desired.complete


def test_a_name_that_is_declared_twice_is_used_nowhere(tmp_path: Path) -> None:
    write(tmp_path, {"a.yaml": together(WORKFLOW, RUN), "b/c.yaml": RUN, "d.yaml": a_workflow("greet-world")})

    desired = loaded(tmp_path)

    assert desired.invalid == {"run/greet-world"}
    assert set(desired.workflows) == {"greet", "greet-world"}
    assert lines(desired) == [
        "a.yaml:9:18: /metadata/name: Run 'greet-world' is declared more than once: also in b/c.yaml:1",
        "b/c.yaml:3:18: /metadata/name: Run 'greet-world' is declared more than once: also in a.yaml:7",
    ]


def test_a_run_of_a_workflow_that_is_only_invalid_stays(tmp_path: Path) -> None:
    write(tmp_path, {"a.yaml": together(a_workflow("greet", "{code: {inline: x}, oops: 1}"), RUN)})

    desired = loaded(tmp_path)

    assert set(desired.runs) == {"greet-world"}
    assert desired.invalid == {"workflow/greet"}


def test_inputs_and_signals_are_checked_against_their_schemas(tmp_path: Path) -> None:
    schema = "{type: object, required: [name], properties: {n: {type: integer}}}"
    workflow = a_workflow("greet", f"{{code: {{inline: x}}, input: {{schema: {schema}}}, signals: {{ok: {{schema: {{type: object}}}}}}}}")
    write(
        tmp_path,
        {
            "a.yaml": together(
                workflow,
                a_run("good", "{workflow: greet, input: {name: a, n: 1}, signals: {ok: {}, other: 5}}"),
                a_run("missing", "{workflow: greet, input: {n: 1}}"),
                a_run("wrong", "{workflow: greet, input: {name: a, n: x}}"),
                a_run("none", "{workflow: greet}"),
                a_run("signal", "{workflow: greet, input: {name: a}, signals: {ok: 5}}"),
                a_manifest("Schedule", "s", "{every: 1h, run: {workflow: greet, input: {name: a, n: x}}}"),
                a_manifest("Schedule", "t", '{every: 1h, run: {workflow: greet, input: {name: "${slot.date}"}}}'),
            )
        },
    )

    desired = loaded(tmp_path)

    assert set(desired.runs) == {"good"}
    assert set(desired.schedules) == {"t"}
    assert [(problem.pointer, problem.line) for problem in desired.problems] == [
        ("/spec/input", 14),
        ("/spec/input/n", 19),
        ("/spec", 24),
        ("/spec/signals/ok", 29),
        ("/spec/run/input/n", 34),
    ]


def test_a_schema_that_never_ends_is_told_and_not_followed(tmp_path: Path) -> None:
    workflow = a_workflow("greet", "{code: {inline: x}, input: {schema: {$ref: '#'}}}")
    write(tmp_path, {"a.yaml": together(workflow, RUN)})

    assert any("without end" in line for line in lines(loaded(tmp_path)))


def test_runs_that_wait_for_each_other_are_named_with_their_circle(tmp_path: Path) -> None:
    specs = {"a": "run/b", "b": "run/c", "c": "run/a", "d": "run/a", "self": "run/self"}
    runs = [a_run(name, f"{{workflow: greet, dependsOn: [{other}]}}") for name, other in specs.items()]
    write(tmp_path, {"a.yaml": together(WORKFLOW, *runs)})

    desired = loaded(tmp_path)

    assert set(desired.runs) == {"d"}
    assert desired.invalid == {"run/a", "run/b", "run/c", "run/self"}
    assert [problem.message for problem in desired.problems] == [
        "runs wait for each other: a -> b -> c -> a",
        "runs wait for each other: self -> self",
    ]


def test_a_long_chain_of_runs_is_no_circle(tmp_path: Path) -> None:
    runs = [a_run(f"r{n}", f"{{workflow: greet, dependsOn: [run/r{n + 1}]}}") for n in range(3000)]
    write(tmp_path, {"a.yaml": together(WORKFLOW, *runs, a_run("r3000"))})

    desired = loaded(tmp_path)

    assert len(desired.runs) == 3001
    assert not desired.problems


def test_a_run_that_waits_for_nobody_is_told_who_was_meant(tmp_path: Path) -> None:
    write(tmp_path, {"a.yaml": together(WORKFLOW, a_run("bootstrap"), a_run("second", "{workflow: greet, dependsOn: [run/bootstrp]}"))})

    desired = loaded(tmp_path)

    assert desired.problems[0].message == "there is no run 'bootstrp' in this folder"
    assert desired.problems[0].hint == "did you mean 'bootstrap'?"


def test_a_disabled_adapter_comes_with_the_lines_to_add(tmp_path: Path) -> None:
    write(tmp_path, {"a.yaml": a_workflow("greet", "{code: {inline: x}, adapter: docker}")})

    desired = loaded(tmp_path)

    assert desired.problems[0].message == "the adapter docker is disabled"
    assert desired.problems[0].hint == "add to the settings:\nadapters:\n  docker:\n    enabled: true"
    assert desired.invalid == {"workflow/greet"}


def test_an_adapter_of_a_later_version_is_not_available_yet(tmp_path: Path) -> None:
    write(tmp_path, {"a.yaml": a_workflow()})

    desired = loaded(tmp_path, default_adapter="cloudflare", enabled_adapters=frozenset({"exec", "cloudflare"}))

    assert desired.problems[0].message == "the adapter cloudflare (from the setting default_adapter) is not available yet in this version"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("apiVersion: ty-openworkflow/v2\nkind: Run\nmetadata: {name: a}\nspec: {workflow: greet}\n", "reads ty-openworkflow/v1"),
        ("apiVersion: ty-openworkflow/v1\nkind: Runn\nmetadata: {name: a}\n", "unknown kind 'Runn'"),
        ("apiVersion: ty-openworkflow/v1\nkind: run\nmetadata: {name: a}\n", "unknown kind 'run'"),
        ("apiVersion: ty-openworkflow/v1\nmetadata: {name: a}\n", "'kind' is missing"),
        ("apiVersion: ty-openworkflow/v1\nkind: Run\nspec: {workflow: greet}\n", "'metadata' is missing"),
        ("apiVersion: ty-openworkflow/v1\nkind: Run\nmetadata: {}\nspec: {workflow: greet}\n", "'name' is missing"),
        ("apiVersion: ty-openworkflow/v1\nkind: Run\nmetadata: [a]\nspec: {workflow: greet}\n", "expected a mapping, found a list"),
        ("apiVersion: ty-openworkflow/v1\nkind: Run\nmetadata: {name: a, annotations: {}}\nspec: {workflow: greet}\n", "unknown field 'annotations'"),
        ("apiVersion: ty-openworkflow/v1\nkind: Run\nmetadata: {name: a, project: p}\nspec: {workflow: greet}\n", "only allowed in the local folder"),
        ("apiVersion: ty-openworkflow/v1\nkind: Run\nmetadata: {name: a}\nspec: {workflow: greet}\nstatus: {}\n", "unknown field 'status'"),
        ("apiVersion: ty-openworkflow/v1\nkind: Run\nmetadata: {name: a, labels: {v: 1.10}}\nspec: {workflow: greet}\n", "expected text, found 1.1"),
        ("apiVersion: ty-openworkflow/v1\nkind: Project\nmetadata: {name: a}\n", "belongs into ty-openworkflow.yaml"),
    ],
)
def test_what_is_around_a_spec_is_checked_too(tmp_path: Path, text: str, message: str) -> None:
    write(tmp_path, {"w.yaml": WORKFLOW, "a.yaml": text})

    desired = loaded(tmp_path)

    assert any(message in line for line in lines(desired)), lines(desired)
    assert not desired.runs


def test_a_manifest_without_our_version_is_mentioned_and_ignored(tmp_path: Path) -> None:
    write(
        tmp_path, {"a.yaml": together(WORKFLOW, "kind: Run\nmetadata: {name: x}\n", "apiVersion: openworkflow/v1\nkind: Run\nmetadata: {name: y}\n")}
    )

    desired = loaded(tmp_path)

    assert [(problem.warning, problem.line) for problem in desired.problems] == [(True, 7), (True, 10)]
    assert desired.foreign == 2
    assert desired.complete


def test_a_folder_that_is_not_there_is_an_error_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")

    for name in ("nowhere", "file"):
        with pytest.raises(InvalidError, match="the folder of manifests cannot be read"):
            load(tmp_path / name, LoadOptions())


def test_the_order_of_files_and_their_names_change_nothing(tmp_path: Path) -> None:
    one = write(tmp_path / "one", {"a.yaml": WORKFLOW, "z/b.yml": RUN})
    two = write(tmp_path / "two", {"z.yaml": WORKFLOW, "a.yml": RUN})
    os.utime(two / "z.yaml", (1, 1))

    first, second = loaded(one), loaded(two)

    assert first.workflows["greet"].revision == second.workflows["greet"].revision
    assert first.runs["greet-world"].spec_hash == second.runs["greet-world"].spec_hash
