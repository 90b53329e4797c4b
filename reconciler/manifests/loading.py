"""Loads a folder of manifests."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from reconciler.clock import Clock, SystemClock
from reconciler.errors import UnreadableError
from reconciler.manifests.assemble import Assembly
from reconciler.manifests.attachments import Attachments
from reconciler.manifests.cache import Cache, collection_paused
from reconciler.manifests.files import Key, Patience
from reconciler.manifests.locate import Locator
from reconciler.manifests.options import LoadOptions
from reconciler.manifests.project import Scope, Unknown, find_scope, misplaced_projects
from reconciler.manifests.records import Doc, problem_of
from reconciler.manifests.scan import scan
from reconciler.manifests.settling import settling_of
from reconciler.manifests.survey import Survey, stamps, survey
from reconciler.model import Desired, Place
from reconciler.values import replace

_LOCAL = "local"
_SWITCHES = 5


class Manifests:
    """One folder of manifests, remembered between loads: an unchanged folder gives the very same result again."""

    def __init__(self, folder: Path, options: LoadOptions, clock: Clock | None = None) -> None:
        self._folder = Path(os.path.abspath(folder))
        self._options = options
        self._clock = clock if clock is not None else SystemClock()
        self._cache: Cache | None = None
        self._last: tuple[str, dict[str, Key], Attachments, list[Desired]] | None = None

    def load(self) -> Desired:
        """Return what the folder declares for its project and the environment at hand. Raises InvalidError."""
        return self._load()[0]

    def load_local(self) -> list[Desired]:
        """Return what the local folder declares, for each place that its objects name and for the place called local."""
        return self._load()

    def save(self) -> None:
        """Write down what was read, for the next process."""
        if self._cache is not None:
            self._cache.write()

    def _load(self) -> list[Desired]:
        with collection_paused(keep=self._cache is None):
            for _ in range(_SWITCHES):
                real = self._real()
                try:
                    root = os.open(real, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                except OSError as error:
                    message = f"{self._folder}: the folder of manifests cannot be read: {error.strerror}"
                    raise UnreadableError(message) from error
                try:
                    desired = self._read(root, real)
                finally:
                    os.close(root)
                if self._real() == real:  # a link was not turned to another folder meanwhile
                    break
            return desired

    def _real(self) -> str:
        return os.path.realpath(self._options.tree or self._folder)

    def _read(self, root: int, real: str) -> list[Desired]:
        options = self._options
        scanned = scan(real)
        seen = stamps(scanned)
        patience = Patience(self._clock, waits=options.wait_unstable, whole=options.tree is not None)
        if self._last is not None and self._last[:2] == (real, seen) and self._last[2].still_as_it_was(root, patience):
            return self._last[3]
        if self._cache is None:
            self._cache = Cache(self._folder, options.cache_dir, kind="local:" if options.local else "git:" if options.tree is not None else "")
        cache = self._cache
        surveyed = survey(root, scanned, cache, patience, local=options.local)
        attachments = Attachments(root, patience, cache.attachments)
        desired = list(self._places(surveyed, cache, attachments, Locator(root, patience), Path(real)))
        if options.tree is None:
            settling = settling_of(self._folder, scanned, patience.now_ns())
            desired = [replace(one, settled_at=settling.at, files_settled_at=settling.files_at) for one in desired]
        if attachments.changed or attachments.used.keys() != cache.attachments.keys():
            cache.attachments, cache.changed = attachments.used, True
        if options.write_cache:
            cache.write()
        settled = not surveyed.unstable and not attachments.unstable and not any(record.racy for record in surveyed.files.values())
        self._last = (real, seen, attachments, desired) if settled else None
        return desired

    def _places(self, surveyed: Survey, cache: Cache, attachments: Attachments, locator: Locator, real: Path) -> Iterator[Desired]:
        if self._options.local:
            scopes = _by_place(surveyed, self._options)
        else:
            scope = find_scope(surveyed, self._options)
            if isinstance(scope, Unknown):
                yield _unusable(self._folder, surveyed, scope)
                return
            scopes = {scope.place: (scope, surveyed.docs)}
        for scope, docs in scopes.values():
            assembly = Assembly(self._folder, real, scope, surveyed, cache, attachments, locator, self._options.enabled_adapters)
            assembly.problems += misplaced_projects(surveyed)
            yield assembly.assemble(docs)


def _by_place(surveyed: Survey, options: LoadOptions) -> dict[Place, tuple[Scope, Iterable[tuple[str, int, Doc]]]]:
    """Sort the documents of the local folder by the project and the environment that they name."""
    found: dict[Place, list[tuple[str, int, Doc]]] = {Place(_LOCAL, _LOCAL): []}
    for path, number, doc in surveyed.docs:
        project, environment = doc.metadata.get("project", _LOCAL), doc.metadata.get("environment", _LOCAL)
        place = Place(project, environment) if isinstance(project, str) and isinstance(environment, str) else Place(_LOCAL, _LOCAL)
        found.setdefault(place, []).append((path, number, doc))
    return {place: (Scope(place, options.default_adapter, "the setting default_adapter", local=True), docs) for place, docs in found.items()}


def _unusable(folder: Path, surveyed: Survey, unknown: Unknown) -> Desired:
    """Return a folder of which nothing can be used, since it is not known what it stands for."""
    late = [problem_of(path, row) for path, _, doc in surveyed.docs for row in doc.problems]
    problems = {*surveyed.problems, *unknown.problems, *late}
    return Desired(
        folder=str(folder),
        place=unknown.place,
        problems=tuple(sorted(problems, key=lambda problem: (problem.file, problem.line, problem.column, problem.message))),
        invalid=frozenset({*surveyed.broken, *(doc.about for _, _, doc in surveyed.docs if doc.about)}),
        unstable=tuple(surveyed.unstable),
        foreign=surveyed.foreign,
        files=sum(1 for record in surveyed.files.values() if record.docs or record.held),
        complete=False,
    )


def load(folder: Path, options: LoadOptions, clock: Clock | None = None) -> Desired:
    """Return what a folder declares. Raises InvalidError if there is none, or if the environment is not said or unknown.

    Everything else that is wrong is among the problems of what is returned, and harms only the object that it is about.
    """
    return Manifests(folder, options, clock).load()


def load_local(folder: Path, options: LoadOptions, clock: Clock | None = None) -> list[Desired]:
    """Return what the local folder declares, for each project and environment that its objects name. Raises InvalidError."""
    return Manifests(folder, options._replace(local=True), clock).load_local()
