"""Every case of the suite in both languages: the journals are the ones it lists, record by record."""

import itertools

import pytest

from tests.conformance.runtimes.cases import FRONTS, Case, load_cases
from tests.conformance.runtimes.compare import difference, disagreement, expected, shapes
from tests.conformance.runtimes.conftest import Results
from tests.support.workers import NODE

CASES = load_cases()

pytestmark = pytest.mark.skipif(NODE is None, reason="node is not installed")


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.slug)
def test_the_journal_is_the_one_that_the_case_lists(case: Case, front: str, played: Results) -> None:
    if front not in case.fronts:
        pytest.skip("the language has no such thing")
    result = played[case.slug, front].result()

    found = shapes(result.records)
    assert difference(found, expected(case.journal), front) is None, "\n".join(f"{kind} {fields}" for kind, fields in found)
    assert case.effects is None or result.effects == list(case.effects)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.slug)
def test_all_fronts_use_the_same_words(case: Case, played: Results) -> None:
    journals = [shapes(played[case.slug, front].result().records) for front in case.fronts]

    for one, other in itertools.pairwise(journals):
        assert disagreement(one, other, expected(case.journal)) is None


def test_names_are_unique_and_there_are_enough() -> None:
    assert len({case.slug for case in CASES}) == len(CASES) >= 150
