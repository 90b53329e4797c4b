"""Journals of every released protocol, with their code: the present reader reads them, and the present workers replay them to the same end."""

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from reconciler.history import fold
from reconciler.journal import accepted, decode_lines, encode_line
from tests.conformance.runtimes.code import RUNTIMES
from tests.conformance.runtimes.compare import difference, shapes
from tests.conformance.runtimes.driver import SIDE_BY_SIDE, moved
from tests.conformance.runtimes.keep import FOLDER
from tests.support.workers import NODE, Bench

JOURNALS = sorted(FOLDER.glob("*/*/*.jsonl"))
Results = Mapping[Path, "Future[list[Mapping[str, Any]]]"]

pytestmark = pytest.mark.skipif(NODE is None, reason="node is not installed")


def name(path: Path) -> str:
    return "-".join([*path.parts[-3:-1], path.stem])


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Results]:
    """Return what the workers append to journals that have lost their last record."""
    folder = tmp_path_factory.mktemp("journals")
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        yield {path: pool.submit(_replay, path, folder / name(path)) for path in JOURNALS}


def _replay(path: Path, folder: Path) -> list[Mapping[str, Any]]:
    """Take the last record away, let a worker go on from there, and return the records that it appends."""
    suffix = ".mjs" if path.parent.name == "node" else ".py"
    code = {f"main{suffix}": path.with_suffix(suffix).read_text(), f"tools{suffix}": (path.parent / f"tools{suffix}").read_text()}
    bench = Bench(folder, code, runtime=RUNTIMES[path.parent.name])
    records = _as_of_now(decode_lines(path.read_bytes()))
    uid = records[0]["uid"]
    Path(bench.prefix(uid) + "journal.jsonl").write_bytes(b"".join(map(encode_line, records[:-1])))
    for crash in ("crash", "first", "second", "one", "two", "c1", "c2"):
        (folder / f"{uid}.crashed.{crash}").touch()
    worker = bench.spawn(uid=uid, linger_ms=5, env={"CONFORMANCE": str(folder)})
    worker.order(uid, records[-1]["claim"] + 1)
    worker.wait(30)
    return bench.records(uid)[len(records) - 1 :]


def _as_of_now(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return records as if the last one was just written: what was to come then is to come now."""
    age = datetime.now(UTC) - datetime.fromisoformat(records[-1]["at"])
    return [moved(record, -age) for record in records]


@pytest.mark.parametrize("path", JOURNALS, ids=name)
def test_a_kept_journal_is_read_as_it_was_written(path: Path) -> None:
    lines = decode_lines(path.read_bytes())
    records, skipped = accepted(lines)
    history = fold(path.read_bytes())

    assert history is not None and skipped == 0 and len(records) == len(lines)
    assert history.finished == (records[-1] if records[-1]["type"] == "finished" else None)


@pytest.mark.parametrize("path", JOURNALS, ids=name)
def test_a_kept_journal_is_replayed_to_the_same_end(path: Path, replayed: Results) -> None:
    kept = decode_lines(path.read_bytes())
    appended = replayed[path].result()

    assert appended[0]["type"] == "claim"
    assert difference(shapes(appended), shapes(kept[-2:]), path.parent.name) is None
