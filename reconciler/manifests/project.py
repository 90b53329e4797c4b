"""Which project and environment a folder stands for."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from reconciler.digest import Json, digest_of
from reconciler.errors import InvalidError
from reconciler.manifests.options import LoadOptions
from reconciler.manifests.records import PROJECT_FILE, Doc
from reconciler.manifests.survey import Survey
from reconciler.model import Place, Problem
from reconciler.suggest import did_you_mean

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


class Scope(NamedTuple):
    """Where a folder is carried out, and what that means for its manifests.

    `environments` are those that are declared, `under` is the digest of the variables, `adapter_from` says who chose the default adapter.
    """

    place: Place
    adapter: str
    adapter_from: str
    variables: Mapping[str, Json] = {}
    under: str = "-"
    environments: frozenset[str] = frozenset()
    lineage: str = ""
    branch: str = ""
    prune_max: int | None = None
    local: bool = False


class Unknown(NamedTuple):
    """The project cannot be read: nothing in the folder can be used until it can."""

    place: Place
    problems: tuple[Problem, ...]


def find_scope(surveyed: Survey, options: LoadOptions) -> Scope | Unknown:
    """Return what the folder stands for in the environment at hand. Raises InvalidError if that is not said, or unknown."""
    projects = surveyed.projects
    rooted = [(path, doc) for path, doc in projects if path == PROJECT_FILE]
    name = rooted[0][1].name if rooted else ""
    faults = [problem for path, doc in projects for problem in _faults(path, doc, rooted)]
    if len(rooted) > 1 or any(doc.problems for _, doc in rooted) or (projects and not rooted) or _is_lost(surveyed):
        return Unknown(Place(name, options.environment or ""), tuple(faults))
    if not rooted:
        return _undeclared("default", {}, options)
    spec: dict[str, Json] = rooted[0][1].spec or {}
    declared: dict[str, Json] = spec.get("environments", {})
    return _declared(name, spec, declared, options) if declared else _undeclared(name, spec, options)


def misplaced_projects(surveyed: Survey) -> Iterator[Problem]:
    """Report projects that are not where they belong beside one that is."""
    for path, doc in surveyed.projects:
        for row in doc.problems:
            yield Problem(path, *row)


def _is_lost(surveyed: Survey) -> bool:
    """Tell whether there is a file for a project that cannot be read."""
    record = surveyed.files.get(PROJECT_FILE)
    if record is None:
        return PROJECT_FILE in surveyed.unstable or any(problem.file == "." for problem in surveyed.problems)
    kinds = {doc.kind for doc in record.docs}
    return "" in kinds or any(not row[7] for row in record.problems) or any(name.startswith("project/") for name in record.held)


def _faults(path: str, doc: Doc, rooted: list[tuple[str, Doc]]) -> Iterator[Problem]:
    yield from (Problem(path, *row) for row in doc.problems)
    if len(rooted) > 1 and path == PROJECT_FILE:
        other = next(found for _, found in rooted if found.line != doc.line)
        yield Problem(path, doc.line, 1, "", f"a folder has one Project; there is another at {path}:{other.line}", about=doc.about, code="duplicate")


def _undeclared(name: str, spec: Mapping[str, Any], options: LoadOptions) -> Scope:
    environment = options.environment or "default"
    if not _NAME.fullmatch(environment):
        message = f"environment {environment!r} is not a name: use lower-case letters, digits and '-'"
        raise InvalidError(message)
    return _scope(Place(name, environment), spec, options.default_adapter, "the setting default_adapter")


def _declared(name: str, spec: Mapping[str, Any], declared: Mapping[str, Json], options: LoadOptions) -> Scope:
    names = ", ".join(sorted(declared))
    if not options.environment:
        message = f"project {name} has the environments {names}: choose one with --env or the setting `environment`"
        raise InvalidError(message)
    if options.environment not in declared:
        hint = did_you_mean(options.environment, declared)
        message = f"project {name} has no environment {options.environment!r}, only {names}" + (f" ({hint})" if hint.startswith("did") else "")
        raise InvalidError(message)
    chosen: Mapping[str, Json] = declared[options.environment] or {}
    adapter, source = chosen.get("adapter"), f"environment {options.environment}"
    scope = _scope(Place(name, options.environment), spec, adapter or options.default_adapter, source if adapter else "the setting default_adapter")
    variables = chosen.get("vars", {})
    return scope._replace(variables=variables, under=digest_of(variables), environments=frozenset(declared))


def _scope(place: Place, spec: Mapping[str, Any], adapter: str, adapter_from: str) -> Scope:
    limit = spec.get("prune", {}).get("max")
    return Scope(place, adapter, adapter_from, lineage=spec.get("lineage", ""), branch=spec.get("branch", ""), prune_max=limit)
