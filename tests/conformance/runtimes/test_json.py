"""Values are the same in both languages, live and in a replay; what one cannot keep is refused, by both with the same path."""

import json
import os
import re
import struct
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.runtimes.cases import HERE
from tests.conformance.runtimes.descriptions import Description, RefusedError, descriptions, outcome
from tests.support.workers import NODE, Bench

COUNT, EACH = (20_000, 1_000) if os.environ.get("TYOW_FULL") == "1" else (1_000, 250)
SEED = 20_261_122
LANGUAGES = {"node": ("main.mjs", "made.mjs"), "python": ("main.py", "made.py")}
SETTINGS = {"limits": {"value": 1 << 24}}

pytestmark = [pytest.mark.skipif(NODE is None, reason="node is not installed"), pytest.mark.timeout(600)]


class Results:
    """What became of every value: as it is recorded, as the code saw it, and as it saw it in the replay."""

    def __init__(self) -> None:
        self.recorded: list[Mapping[str, Any]] = []
        self.live: list[str] = []
        self.replayed: list[str] = []


@pytest.fixture(scope="module")
def given() -> list[Description]:
    return descriptions(SEED, COUNT)


@pytest.fixture(scope="module")
def results(given: list[Description], tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Results]]:
    found = {}
    for language, files in LANGUAGES.items():
        code = {name: (HERE / "values" / name).read_text() for name in files}
        bench = Bench(tmp_path_factory.mktemp(language), code, runtime=language)
        (bench.folder / "descriptions.json").write_text(json.dumps(given))
        found[language] = Results()
        with ThreadPoolExecutor(2) as pool:
            for part in pool.map(lambda start, bench=bench: _carry_out(bench, start), range(0, COUNT, EACH)):
                found[language].recorded += part.recorded
                found[language].live += part.live
                found[language].replayed += part.replayed
    yield found


def _carry_out(bench: Bench, start: int) -> Results:
    """Return what becomes of a part of the values, in two claims: the worker kills itself when it has seen all."""
    uid, environment, part = f"from{start}", {"CONFORMANCE": str(bench.folder)}, Results()
    bench.create(uid, {"from": start, "to": start + EACH}, SETTINGS)
    for claim in (1, 2):
        worker = bench.spawn(uid=uid, env=environment)
        worker.order(uid, claim)
        worker.wait(100)
    part.recorded = [record for record in bench.records(uid) if record["type"] in ("completed", "failed")]
    part.live = json.loads(Path(bench.prefix(uid) + "files/live.json").read_text())
    finished = bench.history(uid).finished
    assert finished is not None and finished["status"] == "completed", finished
    part.replayed = finished["output"]
    return part


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_value_is_recorded_as_the_protocol_says(language: str, given: list[Description], results: dict[str, Results]) -> None:
    recorded = results[language].recorded
    assert len(recorded) == COUNT

    wrong = [
        f"{description}: {problem}"
        for description, record in zip(given, recorded, strict=True)
        if (problem := _problem(description, record, language))
    ]
    assert wrong == [], "\n".join(wrong)


def _problem(description: Description, record: Mapping[str, Any], language: str) -> str | None:
    try:
        wanted = outcome(description, language)
    except RefusedError as refused:
        error = record.get("error", {"name": "none", "message": f"recorded as {record.get('value')!r}"})
        fits = error["name"] == "NotSerializableError" and error["message"].startswith(f"{refused} is ")
        return None if fits else f"wanted {refused} refused, got {error['name']}: {error['message']}"
    if record["type"] == "failed":
        return f"wanted {wanted!r}, got {record['error']['message']}"
    return None if canonical(record["value"]) == canonical(wanted) else f"wanted {wanted!r}, got {record['value']!r}"


def canonical(value: Any) -> str:
    """Return a text that tells JSON values apart: numbers by their bits, members in the order of their names."""
    if isinstance(value, list):
        return f"[{','.join(map(canonical, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{key!r}:{canonical(value[key])}' for key in sorted(value))}}}"
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return struct.pack(">d", value).hex()
    return repr(value)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_code_sees_the_same_in_the_replay(language: str, results: dict[str, Results]) -> None:
    assert len(results[language].live) == COUNT
    assert results[language].replayed == results[language].live


def test_what_both_languages_can_keep_is_the_same_to_their_code(given: list[Description], results: dict[str, Results]) -> None:
    compared = 0
    for number, description in enumerate(given):
        try:
            if canonical(outcome(description, "node")) != canonical(outcome(description, "python")):
                continue  # a date, undefined, an object of a class: the languages differ by design
        except RefusedError:
            continue
        compared += 1
        node, python = (results[language].live[number].split()[0] for language in ("node", "python"))
        assert node == python, description
    assert compared > COUNT / 3


def test_what_both_refuse_they_refuse_in_the_same_words(given: list[Description], results: dict[str, Results]) -> None:
    for description, node, python in zip(given, results["node"].recorded, results["python"].recorded, strict=True):
        if description_is_neutral(description) and node["type"] == "failed":
            assert comparable(node) == comparable(python), description


def comparable(record: Mapping[str, Any]) -> str:
    """Return the words of a refusal; numbers are written in another way in each language."""
    return re.sub(r"is (-?[0-9.e+]+|a huge number):", "is NUMBER:", record["error"]["message"])


def description_is_neutral(description: Description) -> bool:
    """Say whether a value is made of nothing but what both languages have: JSON, numbers and text."""
    if isinstance(description, dict):
        if description["$"] in ("list", "tuple"):
            return all(map(description_is_neutral, description["items"]))
        if description["$"] in ("dict", "bare"):
            # Where numbers are names of members, JavaScript looks at them first.
            return all(not key.isdigit() and description_is_neutral(item) for key, item in description["items"])
        return description["$"] in ("float", "bytes", "buffer", "cycle", "deep")
    return True
