"""Projects, environments, variables, and the local folder."""

from pathlib import Path

import pytest

from reconciler.errors import InvalidError
from reconciler.manifests import LoadOptions, Manifests, load_local
from reconciler.model import Place
from reconciler.slots import fill_slot
from tests.unit.manifests.folders import RUN, WORKFLOW, LaterClock, a_manifest, a_run, a_workflow, lines, loaded, together, write

PROJECT = """\
apiVersion: ty-openworkflow/v1
kind: Project
metadata: {name: shop}
spec:
  lineage: 7f3a9c1e
  branch: main
  environments:
    dev: {vars: {bucket: shop-dev, n: 5, flag: true, list: [1, 2], nothing: null}}
    prod: {vars: {bucket: shop, n: 6, flag: false, list: [], nothing: null}, adapter: docker}
    bare:
  prune: {max: 10}
"""
ROOT = "ty-openworkflow.yaml"


def test_without_a_project_everything_is_called_default(tmp_path: Path) -> None:
    write(tmp_path, {"a.yaml": WORKFLOW})

    assert loaded(tmp_path).place == Place("default", "default")
    assert loaded(tmp_path, environment="prod").place == Place("default", "prod")
    with pytest.raises(InvalidError, match="is not a name"):
        loaded(tmp_path, environment="Prod!")


def test_a_project_names_its_folder(tmp_path: Path) -> None:
    write(tmp_path, {ROOT: PROJECT, "a.yaml": WORKFLOW})

    desired = loaded(tmp_path, environment="dev")

    assert desired.place == Place("shop", "dev")
    assert (desired.lineage, desired.branch, desired.prune_max) == ("7f3a9c1e", "main", 10)
    assert set(desired.workflows) == {"greet"}


def test_a_project_without_environments_needs_none(tmp_path: Path) -> None:
    write(tmp_path, {ROOT: "apiVersion: ty-openworkflow/v1\nkind: Project\nmetadata: {name: shop}\n"})

    assert loaded(tmp_path).place == Place("shop", "default")


def test_an_environment_must_be_chosen_once_some_are_declared(tmp_path: Path) -> None:
    write(tmp_path, {ROOT: PROJECT})

    with pytest.raises(InvalidError, match="has the environments bare, dev, prod: choose one with --env"):
        loaded(tmp_path)
    with pytest.raises(InvalidError, match=r"no environment 'prd', only bare, dev, prod \(did you mean 'prod'\?\)"):
        loaded(tmp_path, environment="prd")


def test_an_environment_chooses_the_adapter_of_those_that_name_none(tmp_path: Path) -> None:
    write(tmp_path, {ROOT: PROJECT, "a.yaml": together(WORKFLOW, a_workflow("own", "{code: {inline: x}, adapter: exec}"))})

    desired = loaded(tmp_path, environment="prod")

    assert set(desired.workflows) == {"own"}
    assert desired.problems[0].message == "the adapter docker (from environment prod) is disabled"


def test_objects_are_for_the_environments_that_they_name(tmp_path: Path) -> None:
    files = {
        ROOT: PROJECT,
        "a.yaml": together(
            a_workflow("greet", "{code: {inline: dev}}", "environments: [dev]"),
            a_workflow("greet", "{code: {inline: bare}}", "environments: [bare, prod]"),
            a_run("both"),
            a_run("only-bare", "{workflow: greet}", "environments: [bare]"),
            a_run("needs", "{workflow: greet, dependsOn: [run/only-bare]}"),
        ),
    }
    write(tmp_path, files)

    dev, bare = loaded(tmp_path, environment="dev"), loaded(tmp_path, environment="bare")

    assert (set(dev.runs), set(bare.runs)) == ({"both"}, {"both", "only-bare", "needs"})
    assert dev.workflows["greet"].revision != bare.workflows["greet"].revision
    assert dev.problems[0].message == "run 'only-bare' is not for environment 'dev'"
    assert not bare.problems


def test_a_misspelt_environment_is_an_error_everywhere(tmp_path: Path) -> None:
    write(tmp_path, {ROOT: PROJECT, "a.yaml": together(WORKFLOW, a_run("r", "{workflow: greet}", "environments: [prdo]"))})

    for environment in ("dev", "bare"):
        desired = loaded(tmp_path, environment=environment)
        assert desired.problems[0].hint == "did you mean 'prod'?"
        assert desired.invalid == {"run/r"}


def test_environments_without_a_project_are_an_error(tmp_path: Path) -> None:
    write(tmp_path, {"a.yaml": together(WORKFLOW, a_run("r", "{workflow: greet}", "environments: [dev]"))})

    assert "declares no environments" in lines(loaded(tmp_path))[0]


@pytest.mark.parametrize(
    "text",
    [
        PROJECT + "  oops: 1\n",
        PROJECT.replace("kind: Project", "kind: Projekt"),
        PROJECT.replace("name: shop", "name: Shop"),
        together(PROJECT, PROJECT),
        PROJECT + "  x: [\n",
        PROJECT.replace("v1", "v9"),
    ],
)
def test_nothing_is_usable_while_the_project_is_unknown(tmp_path: Path, text: str) -> None:
    write(tmp_path, {ROOT: text, "a.yaml": together(WORKFLOW, RUN)})

    desired = loaded(tmp_path, environment="dev")

    assert not desired.workflows
    assert not desired.runs
    assert {"workflow/greet", "run/greet-world"} <= desired.invalid
    assert not desired.complete
    assert desired.problems


def test_a_second_project_elsewhere_is_an_error_that_harms_nobody(tmp_path: Path) -> None:
    write(tmp_path, {ROOT: PROJECT, "sub/ty-openworkflow.yaml": PROJECT, "a.yaml": WORKFLOW})

    desired = loaded(tmp_path, environment="dev")

    assert set(desired.workflows) == {"greet"}
    assert "belongs into ty-openworkflow.yaml at the root" in lines(desired)[0]


def test_a_project_that_is_being_written_makes_the_folder_wait(tmp_path: Path) -> None:
    write(tmp_path, {"a.yaml": together(WORKFLOW, RUN)})

    with open(tmp_path / ROOT, "wb", buffering=0) as writer:
        writer.write(PROJECT[:40].encode())
        desired = Manifests(tmp_path, LoadOptions(environment="dev")).load()

    assert not desired.runs
    assert not desired.complete


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('"${vars.bucket}"', "shop-dev"),
        ('"x-${vars.bucket}-y"', "x-shop-dev-y"),
        ('"${vars.bucket}${vars.bucket}"', "shop-devshop-dev"),
        ('"${vars.n}"', 5),
        ('"n=${vars.n}"', "n=5"),
        ('"${vars.flag}"', True),
        ('"is ${vars.flag}"', "is true"),
        ('"${vars.list}"', [1, 2]),
        ('"${vars.nothing}"', None),
        ('"$${vars.bucket}"', "${vars.bucket}"),
        ('"$${HOME} and $${"', "${HOME} and ${"),
        ('"$$ $x $(y) 5$"', "$$ $x $(y) 5$"),
        ("{a: ['${vars.n}', {b: '${vars.bucket}'}]}", {"a": [5, {"b": "shop-dev"}]}),
        ("{'${vars.n}': 1}", {"${vars.n}": 1}),
    ],
)
def test_a_variable_stands_for_its_value(tmp_path: Path, text: str, value: object) -> None:
    write(tmp_path, {ROOT: PROJECT, "a.yaml": together(WORKFLOW, a_run("r", f"{{workflow: greet, input: {text}}}"))})

    desired = loaded(tmp_path, environment="dev")

    assert not desired.problems
    assert desired.runs["r"].input == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('"${vars.buket}"', "unknown variable 'buket'"),
        ('"a ${vars.buket} b"', "unknown variable 'buket'"),
        ('"${vars.}"', "unknown variable ''"),
        ('"${bucket}"', "unknown reference ${bucket}"),
        ('"${env.HOME}"', "unknown reference ${env.HOME}"),
        ('"${slot.date}"', "unknown reference ${slot.date}"),
        ('"${}"', "unknown reference ${}"),
        ('"${vars.n"', "never closed"),
        ('"a ${vars.list} b"', "cannot stand inside a text"),
        ('"a ${vars.nothing} b"', "cannot stand inside a text"),
    ],
)
def test_a_reference_to_nothing_is_an_error_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    write(tmp_path, {ROOT: PROJECT, "a.yaml": together(WORKFLOW, a_run("r", f"\n  workflow: greet\n  input: {{deep: [{text}]}}"))})

    desired = loaded(tmp_path, environment="dev")

    problem = desired.problems[0]
    assert message in problem.message
    assert (problem.file, problem.line, problem.pointer) == ("a.yaml", 12, "/spec/input/deep/0")
    assert desired.invalid == {"run/r"}


def test_what_variables_make_is_checked_as_if_it_were_written(tmp_path: Path) -> None:
    runs = together(a_run("good", '{workflow: greet, priority: "${vars.n}"}'), a_run("bad", '{workflow: greet, priority: "${vars.bucket}"}'))
    write(tmp_path, {ROOT: PROJECT, "a.yaml": together(WORKFLOW, runs)})

    desired = loaded(tmp_path, environment="dev")

    assert desired.runs["good"].priority == 5
    assert desired.problems[0].message == "expected a whole number, found 'shop-dev'"


def test_a_changed_variable_is_no_edit_of_a_run_and_a_new_revision_of_a_workflow(tmp_path: Path) -> None:
    workflow = a_workflow("greet", '{code: {inline: "`${vars.bucket} ${x}`"}, env: {B: {value: "${vars.bucket}"}, N: {value: "${vars.n}"}}}')
    write(tmp_path, {ROOT: PROJECT, "a.yaml": together(workflow, a_run("r", '{workflow: greet, input: "${vars.bucket}"}'))})

    dev, bare = loaded(tmp_path, environment="dev"), loaded(tmp_path, environment="prod", enabled_adapters=frozenset({"exec", "docker"}))
    write(tmp_path, {ROOT: PROJECT.replace("shop-dev", "other")})
    changed = loaded(tmp_path, environment="dev")

    assert dev.runs["r"].input == "shop-dev"
    assert dev.runs["r"].spec_hash == bare.runs["r"].spec_hash == changed.runs["r"].spec_hash
    assert changed.workflows["greet"].revision != dev.workflows["greet"].revision
    assert dev.workflows["greet"].code.text == "`${vars.bucket} ${x}`"
    assert [item.value for item in dev.workflows["greet"].env] == ["shop-dev", "5"]


def test_slots_are_left_for_later_and_survive_the_first_replacement(tmp_path: Path) -> None:
    spec = '{every: 1h, run: {workflow: greet, input: ["${slot.date}", "${vars.bucket} ${slot.date} $${x}", "${vars.trap}"]}}'
    project = PROJECT.replace("bucket: shop-dev", "bucket: shop-dev, trap: '${slot.date}'")
    write(tmp_path, {ROOT: project, "a.yaml": together(WORKFLOW, a_manifest("Schedule", "s", spec))})

    given = loaded(tmp_path, environment="dev").schedules["s"].spec["run"]

    assert fill_slot(given["input"], {"date": "2026-11-22"}) == ["2026-11-22", "shop-dev 2026-11-22 ${x}", "${slot.date}"]


def test_a_slot_outside_of_what_a_schedule_starts_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, {"a.yaml": together(WORKFLOW, a_manifest("Schedule", "s", '{every: 1h, timeZone: "${slot.zone}", run: {workflow: greet}}'))})

    assert "unknown reference ${slot.zone}" in lines(loaded(tmp_path))[0]


def test_the_local_folder_holds_objects_of_several_places(tmp_path: Path) -> None:
    there = "project: shop, environment: prod"
    write(
        tmp_path,
        {
            "a.yaml": together(WORKFLOW, RUN, a_run("elsewhere", "{workflow: unknown-here}", there), a_run("greet-world", "{workflow: x}", there)),
            "b.yaml": together(a_run("envs", "{workflow: greet}", "environments: [dev]"), PROJECT),
        },
    )

    found = {desired.place: desired for desired in load_local(tmp_path, LoadOptions(), LaterClock())}

    assert set(found) == {Place("local", "local"), Place("shop", "prod")}
    assert set(found[Place("local", "local")].runs) == {"greet-world"}
    assert set(found[Place("shop", "prod")].runs) == {"elsewhere", "greet-world"}
    messages = [problem.message for problem in found[Place("local", "local")].problems]
    assert any("'environments' is only allowed outside of the local folder" in message for message in messages)
    assert any("a Project belongs into" in message for message in messages)


def test_an_empty_local_folder_is_one_empty_place(tmp_path: Path) -> None:
    assert [desired.place for desired in load_local(tmp_path, LoadOptions())] == [Place("local", "local")]
