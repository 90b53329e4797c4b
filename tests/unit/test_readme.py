"""README says what is so."""

import json

from reconciler.assets import asset
from tests.support.settings_table import README, written


def test_the_settings_in_readme_are_those_of_the_schema() -> None:
    page = README.read_text()

    assert written(page) == page, "bring it up to date: python -m tests.support.settings_table"
    assert "`adapters.exec.runs_per_worker`" in page


def test_the_first_screen_names_both_commands() -> None:
    first = README.read_text()[:3000]

    assert "make run" in first
    assert "make test" in first


def test_every_setting_has_a_description() -> None:
    def described(schema: dict[str, object]) -> bool:
        inner = schema.get("properties", {})
        assert isinstance(inner, dict)
        return all("description" in entry and described(entry) for entry in inner.values())

    assert described(json.loads(asset("schemas", "settings.schema.json").read_text()))
