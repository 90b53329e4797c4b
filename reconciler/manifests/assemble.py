"""From what the files hold to what is desired in one place."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from reconciler.digest import digest_of
from reconciler.finding import Finding
from reconciler.manifests.attachments import Attachments, inside
from reconciler.manifests.build import spec_hash, to_run, to_schedule, to_workflow
from reconciler.manifests.cache import Cache
from reconciler.manifests.code import find_code
from reconciler.manifests.crosscheck import (
    Entry,
    Links,
    adapter_finding,
    cycles,
    duplicate,
    environment_findings,
    input_findings,
    schema_digests,
    signal_findings,
    slot_input_findings,
)
from reconciler.manifests.files import RefusedError, UnstableError
from reconciler.manifests.locate import Locator
from reconciler.manifests.project import Scope
from reconciler.manifests.records import Doc, problem_of
from reconciler.manifests.survey import Survey
from reconciler.model import Desired, Problem, Run, Schedule, Source, Workflow
from reconciler.values import made, mutable


@mutable
class Assembly:
    """Puts together what one place is to have; what is wrong with one object stays with that object."""

    folder: Path
    real: Path
    scope: Scope
    surveyed: Survey
    cache: Cache
    attachments: Attachments
    locator: Locator
    enabled: frozenset[str]
    problems: list[Problem] = made(default_factory=list)
    invalid: set[str] = made(default_factory=set)
    elsewhere: dict[str, set[str]] = made(default_factory=lambda: {"Workflow": set(), "Run": set(), "Schedule": set()})
    complete: bool = True
    _workflows: dict[str, Workflow] = made(default_factory=dict)
    _runs: dict[str, Run] = made(default_factory=dict)
    _schedules: dict[str, Schedule] = made(default_factory=dict)
    _rejected: list[Entry] = made(default_factory=list)

    def assemble(self, docs: Iterable[tuple[str, int, Doc]]) -> Desired:
        """Return what is desired, given the documents that belong here."""
        entries = self._named(docs)
        for entry in entries["Workflow"].values():
            self._workflow(entry)
        runs = {name: entry for name, entry in entries["Run"].items() if self._run(entry)}
        for entry in entries["Schedule"].values():
            self._schedules[entry.doc.name] = to_schedule(entry.doc, entry.spec, _source(entry))
        links = self._links()
        self._check_schedules(entries["Schedule"].values(), links)
        self._check_runs(runs.values(), links)
        return self._desired()

    def _named(self, docs: Iterable[tuple[str, int, Doc]]) -> dict[str, dict[str, Entry]]:
        """Sort documents by kind and name, without those that cannot be used."""
        named: dict[str, dict[str, Entry]] = {"Workflow": {}, "Run": {}, "Schedule": {}}
        twice: dict[str, list[Entry]] = {}
        for path, number, doc in docs:
            if not doc.kind or not doc.name:
                self.complete = False
                self._refuse(path, doc)
            elif not doc.metadata or self._is_here(path, doc):
                entry = Entry(path, number, doc, doc.spec)
                before = named[doc.kind].setdefault(doc.name, entry)
                if before is not entry:
                    twice.setdefault(doc.about, [before]).append(entry)
        for entries in twice.values():
            del named[entries[0].doc.kind][entries[0].doc.name]
            for entry in entries:
                self._refuse(entry.path, entry.doc)
                self._report(entry, duplicate(entry, entries))
        for found in named.values():
            for name, entry in [item for item in found.items() if item[1].doc.problems or item[1].doc.variables]:
                usable = self._usable(entry)
                if usable is not None:
                    found[name] = usable
                else:
                    del found[name]
        return named

    def _is_here(self, path: str, doc: Doc) -> bool:
        """Tell whether a document is for the environment at hand; one that names environments which do not exist is refused here."""
        if "environments" not in doc.metadata or doc.problems:
            return True
        rows = self.locator.rows(path, doc, environment_findings(doc, self.scope))
        if rows:
            self._refuse(path, doc._replace(problems=rows))
        elif self.scope.place.environment in doc.metadata["environments"]:
            return True
        self.elsewhere[doc.kind].add(doc.name)
        return False

    def _usable(self, entry: Entry) -> Entry | None:
        """Return a document with its spec after variables, or None after reporting what is wrong with it."""
        path, number, doc, _ = entry
        if not doc.problems:
            doc = doc if doc.under == self.scope.under else self._fill(path, number, doc)
            if not doc.late:
                return Entry(path, number, doc, doc.resolved)
        self._refuse(path, doc)
        self._rejected.append(entry)
        return None

    def _refuse(self, path: str, doc: Doc) -> None:
        self.problems += (problem_of(path, row) for row in (*doc.problems, *doc.late))
        if doc.about:
            self.invalid.add(doc.about)

    def _fill(self, path: str, number: int, doc: Doc) -> Doc:
        from reconciler.manifests.documents import spec_faults
        from reconciler.manifests.variables import fill_spec

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
            found = find_code(self.real, entry.path.rpartition("/")[0], entry.spec, self.attachments)
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

    def _check_schedules(self, entries: Iterable[Entry], links: Links) -> None:
        for entry in entries:
            given = entry.spec["run"]
            found = list(links.workflow(given["workflow"], "/spec/run/workflow"))
            token = links.digests.get(given["workflow"], "")
            if token and entry.doc.checked != token + entry.doc.under:
                found += slot_input_findings(given, self._workflows[given["workflow"]].input_schema, "/spec/run/input")
                if not found:
                    self._remember(entry.path, entry.number, entry.doc._replace(checked=token + entry.doc.under))
            if self._reported(entry, found):
                del self._schedules[entry.doc.name]

    def _check_runs(self, entries: Iterable[Entry], links: Links) -> None:
        for entry in self._rejected:
            name = entry.spec.get("workflow") if entry.doc.kind == "Run" and isinstance(entry.spec, dict) else None
            if isinstance(name, str):
                self._reported(entry, links.workflow(name, "/spec/workflow"))
        gone = []
        for entry in entries:
            run = self._runs[entry.doc.name]
            if (
                run.workflow in links.workflows
                and not run.depends_on
                and not run.signals
                and entry.doc.checked == links.digests.get(run.workflow, "")
            ):
                continue
            found = [*links.workflow(run.workflow, "/spec/workflow"), *links.dependencies(run), *self._given(entry, run, links)]
            if self._reported(entry, found):
                gone.append(run.name)
        for circle in list(cycles(self._runs)):
            first = next(entry for entry in entries if entry.doc.name == circle[0])
            self._report(first, Finding("/spec/dependsOn", f"runs wait for each other: {' -> '.join(circle)}", at_key=True, code="cycle"))
            self.invalid.update(f"run/{name}" for name in circle)
            gone += circle
        for name in gone:
            self._runs.pop(name, None)

    def _given(self, entry: Entry, run: Run, links: Links) -> Iterator[Finding]:
        """Check what a run gives its workflow, unless the very same was found right before."""
        workflow = self._workflows.get(run.workflow)
        if workflow is None:
            return
        digest = links.digests.get(run.workflow, "")
        token = f"{digest}{entry.doc.under}{run.spec_hash if 'inputFile' in entry.spec else ''}" if digest else ""
        token += digest_of(workflow.signals) if run.signals else ""
        if entry.doc.checked == token:
            return
        found = list(input_findings(entry.spec, run.input, workflow.input_schema, "/spec/input")) if digest else []
        found += signal_findings(run, workflow)
        yield from found
        if not found:
            self._remember(entry.path, entry.number, entry.doc._replace(checked=token))

    def _reported(self, entry: Entry, found: Iterable[Finding]) -> bool:
        listed = list(found)
        for finding in listed:
            self._report(entry, finding)
        return bool(listed)

    def _links(self) -> Links:
        return Links(
            {**self._workflows, **dict.fromkeys(self._broken("workflow/"))},
            {**self._runs, **dict.fromkeys(self._broken("run/"))},
            self.elsewhere,
            schema_digests(self._workflows),
            self.scope,
        )

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
            unstable=(*surveyed.unstable, *dict.fromkeys(self.attachments.unstable)),
            foreign=surveyed.foreign,
            files=sum(1 for record in surveyed.files.values() if record.docs or record.held),
            complete=self.complete and surveyed.complete,
            local=scope.local,
        )


def _source(entry: Entry) -> Source:
    return Source(entry.path, entry.doc.line)
