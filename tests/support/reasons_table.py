"""The reasons in README and in the schemas, written from reconciler/reasons.py: `python -m tests.support.reasons_table` brings both up to date."""

import json
import re

from reconciler.assets import asset
from reconciler.reasons import OF_EVENTS, OF_RUNS, OF_TROUBLE, REASONS
from tests.support.cli import CHECKOUT
from tests.support.settings_table import README

SCHEMA = CHECKOUT / "schemas" / "reasons.schema.json"
_BEGIN, _END = "<!-- reasons: written from reconciler/reasons.py -->\n", "<!-- reasons end -->"
_GROUPS = (("of runs", OF_RUNS), ("of what was not done, or did not work", OF_TROUBLE), ("of events and conditions", OF_EVENTS))


def table() -> str:
    """Return the table of reasons as Markdown."""
    rows = ["| reason | what it means |", "| --- | --- |"]
    for title, reasons in _GROUPS:
        rows += [f"| **{title}** | |", *[f"| `{reason}` | {told} |" for reason, told in sorted(reasons.items())]]
    return "\n".join(rows) + "\n"


def schema() -> str:
    """Return the schema of a reason."""
    document = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "A reason, as `status`, `plan` and `events` give it; a run with nothing to say has an empty one",
        "oneOf": [
            {"const": "", "description": "nothing to say"},
            *[{"const": reason, "description": told} for reason, told in sorted(REASONS.items())],
        ],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def written(page: str) -> str:
    """Return a page with the table of today in it."""
    return re.sub(re.escape(_BEGIN) + ".*?" + re.escape(_END), lambda _: _BEGIN + table() + _END, page, flags=re.DOTALL)


def shipped() -> str:
    """Return the schema as it is shipped."""
    return asset("schemas", "reasons.schema.json").read_text()


if __name__ == "__main__":
    README.write_text(written(README.read_text()))
    SCHEMA.write_text(schema())
