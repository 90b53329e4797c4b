"""Plays every case that was collected, in all fronts side by side, before the first result is looked at."""

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.conformance.runtimes.cases import FRONTS, Case
from tests.conformance.runtimes.driver import SIDE_BY_SIDE, Played, Stage, play

Results = Mapping[tuple[str, str], "Future[Played]"]


@pytest.fixture(scope="package")
def played(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Results]:
    """Return what each collected case left in each of its fronts, by slug and front."""
    folder = tmp_path_factory.mktemp("conformance")
    cases: dict[str, Case] = {}
    for item in request.session.items:
        given = getattr(item, "callspec", None)
        if given is not None and isinstance(case := given.params.get("case"), Case):
            cases[case.slug] = case
    stages = {front: Stage(folder / front, [case for case in cases.values() if case.hosted and front in case.fronts], front) for front in FRONTS}
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        yield {
            (case.slug, front): pool.submit(play, case, front, stages[front] if case.hosted else folder / f"{front}.{case.slug}")
            for case in cases.values()
            for front in case.fronts
        }
        pool.shutdown(cancel_futures=True)
    for stage in stages.values():
        stage.close()
