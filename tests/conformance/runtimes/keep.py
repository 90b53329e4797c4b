"""Keeps journals of the present protocol, with their code: `python -m tests.conformance.runtimes.keep VERSION`.

Whatever is kept under a version that was released stays as it is: a later worker has to replay it to the same end.
"""

import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reconciler.journal import encode_line
from tests.conformance.runtimes import code
from tests.conformance.runtimes.cases import HERE, Case, load_cases
from tests.conformance.runtimes.compare import expected
from tests.conformance.runtimes.driver import play

FOLDER = HERE / "journals"
ENDS = {"finished", "parked"}
NO_BOOT = "00000000-0000-0000-0000-000000000000"


def main() -> None:
    """Play the cases, and keep what comes of them."""
    folder = FOLDER / sys.argv[1]
    for case in chosen():
        for front in case.fronts:
            with tempfile.TemporaryDirectory() as place:
                journal = play(case, front, Path(place)).journal
            _keep(folder / front, case.slug, journal, code.alone(case, front))


def chosen() -> list[Case]:
    """Return the cases whose journals hold something new, of whatever sort, and those of branches; none whose code changes on the way."""
    seen: set[tuple[str, ...]] = set()
    found = []
    for case in load_cases():
        records = expected(case.journal)
        if case.then or records is None or records[-1][0] not in ENDS:
            continue
        sorts = {(kind, str(fields.get("kind")), *sorted(fields)) for kind, fields in records}
        if sorts - seen or case.topic == "parallel":
            seen |= sorts
            found.append(case)
    return found


def _keep(folder: Path, slug: str, journal: bytes, files: Mapping[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("main", slug)).write_text(text)
    (folder / f"{slug}.jsonl").write_bytes(b"".join(map(_anywhere, journal.splitlines(keepends=True))))


def _anywhere(line: bytes) -> bytes:
    """Return a line without what tells of the machine: paths in stacks, and its boot."""
    if b'"stack"' not in line and b'"boot"' not in line:
        return line
    return encode_line(_neutral(json.loads(line[9:])))


def _neutral(value: Any) -> Any:
    if isinstance(value, list):
        return [_neutral(each) for each in value]
    if not isinstance(value, dict):
        return value
    found = {key: _neutral(each) for key, each in value.items()}
    if "boot" in found:
        found["boot"] = NO_BOOT
    if "stack" in found:
        found["stack"] = f"{found['name']}: {found['message']}"
    return found


if __name__ == "__main__":
    main()
