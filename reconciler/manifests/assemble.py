"""From what the files hold to what is desired in one place."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from reconciler.manifests.attachments import Attachments, inside
from reconciler.manifests.build import to_run, to_schedule, to_workflow
from reconciler.manifests.cache import Cache
from reconciler.manifests.code import find_code
from reconciler.manifests.crosscheck import (
    Entry,
    adapter_finding,
    cycles,
    dependency_findings,
    duplicate,
    environment_findings,
    input_findings,
    schema_digests,
    signal_findings,
    workflow_finding,
)
from reconciler.manifests.documents import spec_faults, spec_hash
from reconciler.manifests.files import RefusedError, UnstableError
from reconciler.manifests.locate import Locator
from reconciler.manifests.project import Scope
from reconciler.manifests.records import Doc, problem_of
from reconciler.manifests.survey import Survey
from reconciler.manifests.variables import fill_spec
from reconciler.model import Desired, Problem, Run, Schedule, Source, Workflow
from reconciler.shape import Finding


@dataclass(slots=True)
class Assembly:
    """Puts together what one place is to have; what is wrong with one object stays with that object."""

    folder: Path
    scope: Scope
    surveyed: Survey
    cache: Cache
    attachments: Attachments
    locator: Locator
    enabled: frozenset[str]
    problems: list[Problem] = field(default_factory=list)
    invalid: set[str] = field(default_factory=set)
    elsewhere: dict[str, set[str]] = field(default_factory=lambda: {"Workflow": set(), "Run": set(), "Schedule": set()})
    complete: bool = True
    _workflows: dict[str, Workflow] = field(default_factory=dict)
    _runs: dict[str, Run] = field(default_factory=dict)
    _schedules: dict[str, Schedule] = field(default_factory=dict)

    def assemble(self, docs: Iterable[tuple[str, int, Doc]]) -> Desired:
        """Return what is desired, given the documents that belong here."""
        entries = self._named(docs)
        for entry in entries["Workflow"].values():
            self._workflow(entry)
        runs = {name: entry for name, entry in entries["Run"].items() if self._run(entry)}
        for entry in entries["Schedule"].values():
            self._schedules[entry.doc.name] = to_schedule(entry.doc, entry.spec, _source(entry))
        self._check_workflows(entries["Schedule"], runs)
        self._check_dependencies(runs)
        return self._desired()

    def _named(self, docs: Iterable[tuple[str, int, Doc]]) -> dict[str, dict[str, Entry]]:
        """Sort documents by kind and name, without those that cannot be used."""
        groups: dict[str, list[Entry]] = {}
        for path, number, doc in docs:
            if not doc.about:
                self.complete = False
                self._refuse(path, doc, doc.problems)
            elif self._is_here(path, doc):
                groups.setdefault(doc.about, []).append(Entry(path, number, doc, doc.spec))
        named: dict[str, dict[str, Entry]] = {"Workflow": {}, "Run": {}, "Schedule": {}}
        for entries in groups.values():
            usable = [entry for found in entries if (entry := self._usable(found)) is not None]
            if len(entries) > 1:
                for entry in entries:
                    self._report(entry, duplicate(entry, entries))
            elif usable:
                named[usable[0].doc.kind][usable[0].doc.name] = usable[0]
        return named

    def _is_here(self, path: str, doc: Doc) -> bool:
        """Tell whether a document is for the environment at hand; one that names environments which do not exist is refused here."""
        if len(doc.metadata) == 1 or "environments" not in doc.metadata or doc.problems:
            return True
        rows = self.locator.rows(path, doc, environment_findings(doc, self.scope))
        if rows:
            self._refuse(path, doc, rows)
        elif self.scope.place.environment in doc.metadata["environments"]:
            return True
        self.elsewhere[doc.kind].add(doc.name)
        return False

    def _usable(self, entry: Entry) -> Entry | None:
        """Return a document with its spec after variables, or None after reporting what is wrong with it."""
        path, number, doc, _ = entry
        if doc.problems:
            self._refuse(path, doc, doc.problems)
            return None
        if not doc.variables:
            return entry
        if doc.under != self.scope.under:
            doc = self._fill(path, number, doc)
        if not doc.late:
            return Entry(path, number, doc, doc.resolved)
        self._refuse(path, doc, doc.late)
        return None

    def _refuse(self, path: str, doc: Doc, rows: Iterable[list[object]]) -> None:
        self.problems += (problem_of(path, row) for row in rows)
        if doc.about:
            self.invalid.add(doc.about)

    def _fill(self, path: str, number: int, doc: Doc) -> Doc:
        filled, found = fill_spec(doc.kind, doc.spec, self.scope.variables)
        found = found or spec_faults(doc.kind, doc.name, filled)
        doc = doc._replace(under=self.scope.under, resolved=filled, late=self.locator.rows(path, doc, found))
        self._remember(path, number, doc)
        return doc

    def _remember(self, path: str, number: int, doc: Doc) -> None:
        record = self.surveyed.files[path]
        record.docs[number] = doc
        self.cache.changed = True

    def _report(self, entry: Entry, finding: Finding) -> None:
        self.problems.append(self.locator.problem(entry.path, entry.doc, finding))
        self.invalid.add(entry.doc.about)

    def _workflow(self, entry: Entry) -> None:
        adapter = entry.spec.get("adapter", self.scope.adapter)
        finding = adapter_finding(entry.spec, adapter, self.scope, self.enabled)
        if finding is not None:
            self._report(entry, finding)
            return
        try:
            found = find_code(self.folder, entry.path.rpartition("/")[0], entry.spec, self.attachments)
        except UnstableError:
            self.invalid.add(entry.doc.about)
            self.complete = False
            return
        if isinstance(found, Finding):
            self._report(entry, found)
            return
        self._workflows[entry.doc.name] = to_workflow(entry.doc, entry.spec, *found, adapter, _source(entry))

    def _run(self, entry: Entry) -> bool:
        value, digest = entry.spec.get("input"), entry.doc.spec_hash
        if "inputFile" in entry.spec:
            try:
                value = self.attachments.value(inside(entry.path.rpartition("/")[0], entry.spec["inputFile"]))[1]
            except RefusedError as error:
                self._report(entry, Finding("/spec/inputFile", f"{entry.spec['inputFile']}: {error}", code="input"))
                return False
            except UnstableError:
                self.invalid.add(entry.doc.about)
                self.complete = False
                return False
            digest = spec_hash(entry.doc.spec["workflow"], value)
        self._runs[entry.doc.name] = to_run(entry.doc, entry.spec, value, digest, _source(entry))
        return True

    def _check_workflows(self, schedules: Mapping[str, Entry], runs: Mapping[str, Entry]) -> None:
        known = {**self._workflows, **dict.fromkeys(self._broken("workflow/"))}
        elsewhere = frozenset(self.elsewhere["Workflow"])
        digests = schema_digests(self._workflows)
        for name, entry in schedules.items():
            given = entry.spec["run"]
            finding = None if self.scope.local else workflow_finding(given["workflow"], "/spec/run/workflow", known, elsewhere, self.scope)
            found = [finding] if finding is not None else []
            if given["workflow"] in digests and "${" not in str(given.get("input")):
                schema = self._workflows[given["workflow"]].input_schema
                found += input_findings(given, given.get("input"), schema, "/spec/run/input")
            if self._reported(entry, found):
                del self._schedules[name]
        for name, entry in runs.items():
            run = self._runs[name]
            if run.workflow not in known and not self.scope.local:
                finding = workflow_finding(run.workflow, "/spec/workflow", known, elsewhere, self.scope)
                found = [finding] if finding is not None else []
            elif run.workflow in digests or run.signals:
                found = list(self._given(entry, run, digests.get(run.workflow, "")))
            else:
                continue
            if self._reported(entry, found):
                del self._runs[name]

    def _given(self, entry: Entry, run: Run, digest: str) -> Iterator[Finding]:
        """Check what a run gives its workflow, unless the very same was found right before."""
        workflow = self._workflows.get(run.workflow)
        if workflow is None:
            return
        yield from signal_findings(run, workflow) if run.signals else ()
        token = f"{digest}{entry.doc.under}{run.spec_hash if 'inputFile' in entry.spec else ''}"
        if not digest or entry.doc.checked == token:
            return
        found = list(input_findings(entry.spec, run.input, workflow.input_schema, "/spec/input"))
        yield from found
        if not found:
            self._remember(entry.path, entry.number, entry.doc._replace(checked=token))

    def _reported(self, entry: Entry, found: Iterable[Finding]) -> bool:
        listed = list(found)
        for finding in listed:
            self._report(entry, finding)
        return bool(listed)

    def _check_dependencies(self, entries: Mapping[str, Entry]) -> None:
        waiting = {name: run for name, run in self._runs.items() if run.depends_on}
        if not waiting:
            return
        known = {**self._runs, **dict.fromkeys(self._broken("run/"))}
        for name, run in waiting.items() if not self.scope.local else ():
            if self._reported(entries[name], dependency_findings(run, known, frozenset(self.elsewhere["Run"]), self.scope)):
                del self._runs[name]
        for circle in list(cycles(self._runs)):
            finding = Finding("/spec/dependsOn", f"runs wait for each other: {' -> '.join(circle)}", at_key=True, code="cycle")
            self._report(entries[circle[0]], finding)
            for name in circle:
                self._runs.pop(name, None)
                self.invalid.add(f"run/{name}")

    def _broken(self, prefix: str) -> Iterator[str]:
        """Name objects that are there but cannot be used."""
        return (name.removeprefix(prefix) for name in (*self.invalid, *self.surveyed.broken) if name.startswith(prefix))

    def _desired(self) -> Desired:
        surveyed, scope = self.surveyed, self.scope
        problems = {*surveyed.problems, *self.problems}
        return Desired(
            folder=str(self.folder),
            place=scope.place,
            lineage=scope.lineage,
            branch=scope.branch,
            prune_max=scope.prune_max,
            workflows=self._workflows,
            runs=self._runs,
            schedules=self._schedules,
            problems=tuple(sorted(problems, key=lambda problem: (problem.file, problem.line, problem.column, problem.message))),
            invalid=frozenset(self.invalid | surveyed.broken),
            unstable=(*surveyed.unstable, *self.attachments.unstable),
            foreign=surveyed.foreign,
            files=sum(1 for record in surveyed.files.values() if record.docs or record.held),
            complete=self.complete and surveyed.complete,
        )


def _source(entry: Entry) -> Source:
    return Source(entry.path, entry.doc.line)
