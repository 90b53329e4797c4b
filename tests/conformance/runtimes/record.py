"""Prints what cases leave behind, as YAML: `python -m tests.conformance.runtimes.record PART-OF-A-NAME... FRONT...`."""

import itertools
import json
import re
import sys
import tempfile
import traceback
from pathlib import Path

from tests.conformance.runtimes.cases import FRONTS, load_cases
from tests.conformance.runtimes.compare import difference, disagreement, expected, shapes
from tests.conformance.runtimes.driver import play


def main() -> None:
    """Play the cases that are named, and print the journals where they are not the ones listed."""
    wanted = [word.lower() for word in sys.argv[1:] if word not in FRONTS]
    fronts = [word for word in sys.argv[1:] if word in FRONTS] or FRONTS
    for case in load_cases():
        if wanted and not any(word == case.topic or word in f"{case.name} {case.slug}".lower() for word in wanted):
            continue
        seen: dict[str, list[str]] = {}
        journals = []
        for front in [front for front in fronts if front in case.fronts]:
            try:
                with tempfile.TemporaryDirectory() as folder:
                    result = play(case, front, Path(folder))
                found = shapes(result.records)
                journals.append(found)
                unlike = difference(found, expected(case.journal), front)
                if unlike or (case.effects is not None and result.effects != list(case.effects)):
                    seen.setdefault(f"{unlike} {result.effects}\n" + "\n".join(_line(*each) for each in found), []).append(front)
            except Exception as error:  # whatever it is, the others are of interest
                seen.setdefault("".join(traceback.format_exception(error)[-3:]), []).append(front)
        for one, other in itertools.pairwise(journals):
            if words := disagreement(one, other, expected(case.journal)):
                seen[words] = ["words"]
        print(f"{'UNLIKE' if seen else 'ok'} {case.topic}: {case.name}")
        for text, where in seen.items():
            print(f"  {', '.join(where)}: {text}")


def _line(kind: str, fields: dict[str, object]) -> str:
    inner = ", ".join(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in fields.items())
    inner = re.sub(r'"([A-Za-z][\w]*)"(?=[,}\]:]|$)', r"\1", inner)
    return f"    - {kind}: {{{inner}}}" if fields else f"    - {kind}"


if __name__ == "__main__":
    main()
