"""A worker that was started and never takes its run."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.site import Site, eventually


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    made.settings(made.pretend_python("exec sleep 1000"))
    made.workflow("w", "w.py", "def workflow(input, ctx):\n    return 1\n", cancel={"grace": "0s", "cleanup": "0s"})
    made.start("a", "w")
    made.pass_()
    yield made
    made.close()


def test_I16_it_is_killed_when_its_run_is_canceled_and_has_had_its_time(site: Site) -> None:
    assert site.processes()
    site.start("a", "w", cancel=True)
    site.pass_(expect=None)
    assert site.processes(), "it has its time, from when it was told"

    eventually(lambda: site.pass_(expect=None) and site.statuses() == {"a": "canceled"})

    assert not site.processes()
    assert [record["type"] for record in site.journal("a")][-1] == "finished"
