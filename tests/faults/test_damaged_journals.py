"""Journals that were cut, or whose bits have changed: nothing but an incomplete last line is ever passed over, by any reader."""

import os
import random
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from adapters.exec import ExecAdapter
from adapters.placing import ExecSettings
from reconciler.compute import Quarantined
from reconciler.journal import accepted, decode_lines, encode_line, whole_length
from tests.faults.counts import note
from tests.faults.programs import EXTENSION, THIRTY, check_end
from tests.faults.readers import Edit, edited, verdicts
from tests.faults.revival import Left, revive
from tests.support import die_at
from tests.support.workers import Bench

UNDER = [os.path.realpath(sys.executable), "-I", "-S", die_at.__file__]
KILLED_AT = 150  # the calls that write
FULL = os.environ.get("TYOW_FULL") == "1"
LANGUAGES = ["node", "python"]
FLIPS = 16_000
SLICE_OF_FLIPS = 1_500
EDITS = 2_000 if FULL else 200
RESUMED = 400 if FULL else 20
REFUSED = 24 if FULL else 4
pytestmark = pytest.mark.timeout(1800 if FULL else 120)


def chance() -> random.Random:
    """Return a generator whose seed is printed, so that a failure can be repeated with TYOW_SEED."""
    seed = int(os.environ.get("TYOW_SEED") or int.from_bytes(os.urandom(4), "big"))
    print(f"seed {seed}")
    return random.Random(seed)


@pytest.fixture(params=LANGUAGES)
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Bench:
    """A folder with a run that a worker has carried out in two claims."""
    language = request.param
    made = Bench(tmp_path, THIRTY.code(language), runtime=language, entry=EXTENSION[language])
    made.create("u", {"text": "ü\ufffd\u2028", "number": -0.5})
    made.resume("u", under=[*UNDER, str(KILLED_AT), str(tmp_path / "report")])
    made.cut("u")
    made.resume("u")
    assert made.history("u").claims == 2
    return made


def flip(journal: bytes, bit: int) -> list[Edit]:
    """Return the variant in which one bit is another."""
    place = bit // 8
    return [(place, place + 1, bytes([journal[place] ^ (1 << bit % 8)]))]


@pytest.mark.parametrize("tail", [b"", b'0123abcd {"type":"comp', bytes(64)], ids=["whole", "torn", "zeros"])
def test_I4_a_changed_bit_is_noticed_by_every_reader_or_it_is_in_an_incomplete_last_line(bench: Bench, tail: bytes) -> None:
    journal = bench.journal("u") + tail
    whole, records = whole_length(journal), len(decode_lines(journal))
    last = journal.rindex(b"\n", 0, whole - 1) + 1
    bits = range(8 * len(journal))
    assert len(bits) >= FLIPS
    end = range(8 * last, len(bits))  # the last line and what follows it
    chosen = [*bits] if FULL and not tail else [*chance().sample(bits, SLICE_OF_FLIPS), *(end if FULL else chance().sample(end, 300))]

    found = verdicts(journal, [flip(journal, bit) for bit in chosen])

    for bit, verdict in zip(chosen, found, strict=True):
        place = bit // 8
        assert not verdict.startswith("other"), f"bit {bit}: {verdict}"
        if verdict != "damage":
            read = int(verdict.split()[1])
            # The case of a hexadecimal digit says nothing; an end of line that is none leaves an incomplete line.
            assert read == records or (place == whole - 1 and read == records - 1), f"bit {bit}: {verdict}"
    assert found.count("damage") > 0.9 * len([bit for bit in chosen if bit // 8 < whole])
    note(f"flipped bits, {bench.runtime}", len(found))


@dataclass
class Whole:
    """A journal as lists of lines and records, and where its second claim is."""

    journal: bytes

    def __post_init__(self) -> None:
        self.lines = self.journal.splitlines(keepends=True)
        self.records = decode_lines(self.journal)
        self.second = [place for place, record in enumerate(self.records) if record["type"] == "claim"][1]

    def without(self, number: int) -> list[Edit]:
        start = sum(map(len, self.lines[:number]))
        return [(start, start + len(self.lines[number]), b"")]

    def adding(self, number: int, record: Mapping[str, Any]) -> list[Edit]:
        start = sum(map(len, self.lines[:number]))
        return [(start, start, encode_line(record))]


def test_I4_records_that_are_missing_before_a_claim_or_within_one_are_damage(bench: Bench) -> None:
    whole = Whole(bench.journal("u"))

    found = verdicts(whole.journal, [whole.without(number) for number in range(len(whole.lines) - 1)])

    assert set(found) == {"damage"}


def test_I5_I8_records_of_an_older_claim_of_a_loser_or_after_the_end_count_for_nothing(bench: Bench) -> None:
    whole = Whole(bench.journal("u"))
    count = len(whole.records)
    late = {"type": "completed", "claim": 1, "seq": whole.second - 1, "at": "2026-11-22T14:37:00.123Z", "key": "z5", "value": 13}
    loser = {**whole.records[whole.second], "worker": "late"}
    again = {"type": "finished", "claim": 2, "seq": count - whole.second + 1, "at": "2026-11-22T14:37:00.123Z", "status": "failed"}
    variants = [whole.adding(whole.second + 1, late), whole.adding(whole.second + 1, loser), whole.adding(count, again), whole.adding(count, late)]

    assert verdicts(whole.journal, variants) == [f"{which} {count + 1} {count} 2 true" for which in ("other",) * 4]
    for edits in variants:
        assert accepted(decode_lines(edited(whole.journal, edits))) == (whole.records, 1)


def test_I8_a_record_of_a_claim_that_nobody_has_made_is_damage(bench: Bench) -> None:
    whole = Whole(bench.journal("u"))
    early = {"type": "completed", "claim": 3, "seq": 2, "at": "2026-11-22T14:37:00.123Z", "key": "z5", "value": 13}

    assert verdicts(whole.journal, [whole.adding(whole.second + 2, early)]) == ["damage"]


def test_I4_records_that_were_moved_doubled_removed_or_overwritten_are_never_another_history(bench: Bench) -> None:
    journal, dice = bench.journal("u"), chance()
    bench.run("other", {"text": "another run"})
    foreign = bench.journal("other").splitlines(keepends=True)
    variants = [edit(journal, foreign, dice) for _ in range(EDITS)]

    found = verdicts(journal, variants)

    written = accepted(decode_lines(journal))[0]
    for edits, verdict in zip(variants, found, strict=True):
        if verdict != "damage":
            kept = accepted(decode_lines(edited(journal, edits)))[0]
            assert kept == written[: len(kept)], (edits, verdict)
    note(f"edited journals, {bench.runtime}", len(found))


def edit(journal: bytes, foreign: list[bytes], dice: random.Random) -> list[Edit]:
    """Return one of the things that can happen to the pages and lines of a file."""
    starts = [0, *(place + 1 for place, byte in enumerate(journal) if byte == 10)]
    number = dice.randrange(len(starts) - 2)
    start, middle, end = starts[number : number + 3]
    line, following = journal[start:middle], journal[middle:end]
    match dice.choice(["swap", "double", "remove", "splice", "zeros", "garbage", "insert"]):
        case "swap":
            return [(start, end, following + line)]
        case "double":
            return [(start, start, line)]
        case "remove":
            return [(start, middle, b"")]
        case "splice":
            # The same record of another run, in the same place, would be taken for ours: nothing in a line says whose it is.
            return [(start, middle, dice.choice([other for place, other in enumerate(foreign) if place != number]))]
        case "zeros":
            return [(start, min(start + dice.choice([16, 512, 4096]), len(journal)), bytes(dice.choice([16, 512])))]
        case "garbage":
            return [(start, start + 40, dice.randbytes(40))]
        case _:
            return [(middle, middle, dice.randbytes(dice.randrange(1, 60)))]


def test_I4_a_journal_that_ends_at_any_byte_is_the_beginning_of_what_was_written(bench: Bench) -> None:
    journal = bench.journal("u")
    cuts = range(len(journal) + 1) if FULL else range(chance().randrange(16), len(journal) + 1, 16)
    variants: list[list[Edit]] = [[(cut, len(journal), b"")] for cut in cuts]
    variants += [[(cut, len(journal), bytes(len(journal) - cut))] for cut in cuts]

    found = verdicts(journal, variants)

    assert [int(verdict.split()[1]) for verdict in found] == [journal.count(b"\n", 0, cut) for cut in cuts] * 2
    assert {verdict.split()[0] for verdict in found} == {"prefix"}
    note(f"cut journals read, {bench.runtime}", len(found))


def test_I1_I4_a_run_whose_journal_ends_at_some_byte_goes_on_to_the_right_end(bench: Bench, tmp_path: Path) -> None:
    journal = bench.journal("u")
    lines = [place + 1 for place, byte in enumerate(journal) if byte == 10]
    cuts = [cut + more for cut in lines[:-1] for more in (-1, 0, 1)] if FULL else []
    cuts += chance().sample(range(len(journal)), RESUMED - len(cuts))

    left = [Left(journal[:cut], {}) for cut in cuts]
    ends = revive(tmp_path / "cut", THIRTY, bench.runtime, decode_lines(journal)[0], left)

    for cut, before, after in zip(cuts, left, ends, strict=True):
        check_end(THIRTY, (before.journal, b""), (after.journal, after.side), f"cut at {cut}", lost=True)
    note(f"cut journals resumed, {bench.runtime}", len(ends))


def test_I4_a_worker_refuses_a_damaged_journal_and_the_adapter_keeps_its_bytes(bench: Bench) -> None:
    journal = bench.journal("u")
    lines = journal.splitlines(keepends=True)
    unfinished = b"".join(lines[:-2])
    for bit in chance().sample(range(8 * len(lines[0]), 8 * len(b"".join(lines[:-3]))), REFUSED):
        damaged = b"".join([unfinished[: bit // 8], bytes([unfinished[bit // 8] ^ (1 << bit % 8)]), unfinished[bit // 8 + 1 :]])
        if verdicts(unfinished, [flip(unfinished, bit)]) != ["damage"]:
            continue  # the case of a hexadecimal digit
        path = Path(bench.prefix("u") + "journal.jsonl")
        path.write_bytes(damaged)
        worker = bench.spawn(uid="u")
        worker.order("u", 3)

        assert worker.wait() == 0
        assert path.read_bytes() == damaged
        seen = ExecAdapter(ExecSettings(str(bench.folder))).observe({"u": 3})["u"]
        assert isinstance(seen, Quarantined) and path.read_bytes() == damaged
    note(f"damaged journals refused, {bench.runtime}", REFUSED)
