"""`${vars.NAME}` in the text of manifests.

`${` always begins a reference, so that a misspelt one is an error; `$${` stands for `${`. References to `slot` in what a schedule
starts are left, with their escapes, for the moment when the slot is known.
"""

import json
import re
from collections.abc import Iterator, Mapping

from reconciler.digest import Json
from reconciler.finding import Finding
from reconciler.slots import SLOT_FIELDS
from reconciler.suggest import did_you_mean, shown
from reconciler.values import made, mutable

MARK = "${"
_REFERENCE = re.compile(r"\$\$\{|\$\{([^}]*)(\}?)")
_WHOLE = re.compile(r"\$\{([^}]*)\}")
_SLOT = re.compile(r"slot\.[A-Za-z_]+")


def uses_variables(value: Json) -> bool:
    """Tell whether there is a reference, or the escape of one, anywhere in the texts of a value."""
    if isinstance(value, str):
        return MARK in value
    if isinstance(value, dict):
        return any(uses_variables(item) for item in value.values())
    return isinstance(value, list) and any(uses_variables(item) for item in value)


def spec_uses_variables(kind: str, spec: Json) -> bool:
    """Tell whether there is a reference in a spec, but for code, which has its own."""
    if not isinstance(spec, dict):
        return False
    return any(uses_variables(item) for key, item in spec.items() if kind != "Workflow" or key != "code")


def fill_spec(kind: str, spec: Mapping[str, Json], variables: Mapping[str, Json]) -> tuple[dict[str, Json], list[Finding]]:
    """Return a spec with its references replaced, and what is wrong with them."""
    filling = _Filling(variables)
    filled: dict[str, Json] = {}
    for key, value in spec.items():
        if kind == "Workflow" and key == "code":
            filled[key] = value
        else:
            filled[key] = filling.value(value, f"/spec/{key}", later=kind == "Schedule" and key == "run")
    return filled, filling.findings


@mutable
class _Filling:
    variables: Mapping[str, Json]
    findings: list[Finding] = made(default_factory=list)

    def value(self, value: Json, pointer: str, *, later: bool) -> Json:
        if isinstance(value, str):
            return self._text(value, pointer, later=later) if MARK in value else value
        if isinstance(value, dict):
            escaped = ((key, item, key.replace("~", "~0").replace("/", "~1")) for key, item in value.items())
            return {key: self.value(item, f"{pointer}/{name}", later=later) for key, item, name in escaped}
        if isinstance(value, list):
            return [self.value(item, f"{pointer}/{index}", later=later) for index, item in enumerate(value)]
        return value

    def _text(self, text: str, pointer: str, *, later: bool) -> Json:
        whole = _WHOLE.fullmatch(text)
        if whole is not None and not (later and _SLOT.fullmatch(whole[1])):
            return self._protected(self._lookup(whole[1], pointer), later=later)
        return "".join(self._pieces(text, pointer, later=later))

    def _pieces(self, text: str, pointer: str, *, later: bool) -> Iterator[str]:
        end = 0
        for found in _REFERENCE.finditer(text):
            yield text[end : found.start()]
            end = found.end()
            if found[0] == "$${":
                yield found[0] if later else MARK
            elif not found[2]:
                self.findings.append(Finding(pointer, "a reference '${' is never closed", "write $${ for a plain ${"))
            elif later and _SLOT.fullmatch(found[1]):
                self._check_slot(found[1].removeprefix("slot."), pointer)
                yield found[0]
            else:
                yield self._in_text(found[1], pointer, later=later)
        yield text[end:]

    def _check_slot(self, name: str, pointer: str) -> None:
        if name not in SLOT_FIELDS:
            hint = f"a slot has {', '.join(f'${{slot.{field}}}' for field in SLOT_FIELDS)}"
            self.findings.append(Finding(pointer, f"unknown reference ${{slot.{name}}}", hint, code="unknown-variable"))

    def _in_text(self, name: str, pointer: str, *, later: bool) -> str:
        before = len(self.findings)
        value = self._lookup(name, pointer)
        if isinstance(value, (dict, list)) or (value is None and len(self.findings) == before):
            self.findings.append(Finding(pointer, f"${{{name}}} is {shown(value)}, which cannot stand inside a text"))
            return ""
        return str(self._protected(value, later=later)) if isinstance(value, str) else json.dumps(value)

    def _lookup(self, name: str, pointer: str) -> Json:
        kind, _, key = name.partition(".")
        if kind == "vars" and key in self.variables:
            return self.variables[key]
        if kind == "vars":
            hint = did_you_mean(key, self.variables) if self.variables else "variables are declared in ty-openworkflow.yaml, for each environment"
            self.findings.append(Finding(pointer, f"unknown variable {shown(key)}", hint, code="unknown-variable"))
        else:
            self.findings.append(
                Finding(pointer, f"unknown reference ${{{name}}}", "write ${vars.NAME}, or $${ for a plain ${", code="unknown-variable")
            )
        return None

    def _protected(self, value: Json, *, later: bool) -> Json:
        """Return a value so that it survives the second replacement of what a schedule starts."""
        if not later:
            return value
        if isinstance(value, str):
            return value.replace(MARK, "$${")
        if isinstance(value, dict):
            return {key: self._protected(item, later=later) for key, item in value.items()}
        return [self._protected(item, later=later) for item in value] if isinstance(value, list) else value
