"""The settings in README, written from their schema: `python -m tests.support.settings_table` brings the page up to date."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from reconciler.assets import asset

README = Path(__file__).parents[2] / "README.md"
_BEGIN, _END = "<!-- settings: written from schemas/settings.schema.json -->\n", "<!-- settings end -->"
_LATER = ("docker", "cloudflare", "webhook", "notify")


def table() -> str:
    """Return the table of settings as Markdown; those of parts that are not there yet are named at its end."""
    schema = json.loads(asset("schemas", "settings.schema.json").read_text())
    rows = ["| key | default | meaning |", "| --- | --- | --- |"]
    rows += [f"| `{name}` | {_default(entry)} | {entry['description']} |" for name, entry in _walk(schema["properties"], "") if not _is_later(name)]
    later = ", ".join(f"`{name}`" for name, _ in _walk(schema["properties"], "") if _is_later(name))
    return "\n".join(rows) + f"\n\nKnown and checked already, for parts that are not there yet: {later}.\n"


def _walk(properties: dict[str, Any], prefix: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, entry in properties.items():
        inner = entry.get("properties")
        more = entry.get("additionalProperties")
        if inner and "propertyNames" not in entry:
            yield from _walk(inner, f"{prefix}{name}.")
        elif isinstance(more, dict) and "properties" in more:
            yield from _walk(more["properties"], f"{prefix}{name}.NAME.")
        elif isinstance(entry.get("items"), dict) and "properties" in entry["items"]:
            yield from _walk(entry["items"]["properties"], f"{prefix}{name}[].")
        else:
            yield f"{prefix}{name}", entry


def _is_later(name: str) -> bool:
    return any(part.removesuffix("[]") in _LATER for part in name.split("."))


def _default(entry: dict[str, Any]) -> str:
    return "" if "default" not in entry else f"`{json.dumps(entry['default']).strip(chr(34))}`"


def written(page: str) -> str:
    """Return a page with the table of today in it."""
    return re.sub(re.escape(_BEGIN) + ".*?" + re.escape(_END), lambda _: _BEGIN + table() + _END, page, flags=re.DOTALL)


if __name__ == "__main__":
    README.write_text(written(README.read_text()))
