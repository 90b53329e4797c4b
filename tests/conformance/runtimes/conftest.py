"""Plays every case that was collected, in all fronts side by side, before the first result is looked at."""

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.conformance.runtimes.cases import Case
from tests.conformance.runtimes.driver import Played, Stage, play

SIDE_BY_SIDE = 6
Results = Mapping[tuple[str, str], "Future[Played]"]


@pytest.fixture(scope="session")
def played(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Results]:
    """Return what each collected case left in each of its fronts, by slug and front."""
    folder = tmp_path_factory.mktemp("conformance")
    found = [item.callspec.params["case"] for item in request.session.items if isinstance(item, pytest.Function) and hasattr(item, "callspec") and "case" in item.callspec.params]
    cases: list[Case] = list({case.slug: case for case in found}.values())
    stages = {front: Stage(folder / front, [case for case in cases if case.hosted and front in case.fronts], front) for front in ("node", "threads", "asyncio")}
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        yield {
            (case.slug, front): pool.submit(play, case, front, stages[front] if case.hosted else folder / f"{front}.{case.slug}")
            for case in cases
            for front in case.fronts
        }
        pool.shutdown(cancel_futures=True)
    for stage in stages.values():
        stage.close()
