"""The settings file that a person begins with."""

from collections.abc import Iterator
from typing import Any

from reconciler.schema import schema_of


def default_settings_text() -> str:
    """Return a settings file in which everything is explained and nothing is set."""
    lines = ["# Settings of ty-openworkflow. Nothing is needed: behind '#' without a space stands what holds without it.", ""]
    for key, schema in schema_of("settings")["properties"].items():
        lines += [*_entry(key, schema, ""), ""]
    return "\n".join(lines)


def _entry(key: str, schema: dict[str, Any], indent: str) -> Iterator[str]:
    yield f"# {indent}{schema.get('description', '')}"
    if "properties" in schema:
        yield f"#{indent}{key}:"
        for below, item in schema["properties"].items():
            if below != "api_token":
                yield from _entry(below, item, f"{indent}  ")
    elif "default" in schema:
        yield f"#{indent}{key}: {_scalar(schema['default'])}"
    else:
        yield f"#{indent}{key}:"


def _scalar(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
