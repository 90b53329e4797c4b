"""The schemas of manifests, for people and their editors."""

from pathlib import Path

from reconciler import schema


def schema_text(kind: str) -> str:
    """Return the JSON Schema of a kind, of all manifests (`manifest`) or of the settings. Raises UsageError."""
    return schema.schema_text(kind.lower())


def install_schemas(folder: Path) -> list[str]:
    """Write the schemas into `folder` and return lines that say so, and what to put into a manifest; again changes nothing. Raises InvalidError."""
    written = schema.install(folder)
    bundle = folder / "manifest.schema.json"
    return [
        *(f"wrote    {path}" for path in written),
        "put this line at the top of a manifest, with the path from there, and editors complete and explain it:",
        schema.modeline(str(bundle)),
    ]
