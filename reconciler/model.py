"""The words of the product as types: what people declare, and what is remembered of it."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum

from reconciler.digest import Json
from reconciler.values import frozen, made


class Status(StrEnum):
    """What a run is doing, in one word."""

    PENDING = "pending"
    RUNNING = "running"
    SLEEPING = "sleeping"
    WAITING = "waiting"
    CANCELING = "canceling"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"
    SKIPPED = "skipped"


TERMINAL = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELED, Status.SKIPPED})


@frozen
class Source:
    """Where in a folder an object is declared; `file` is relative to the folder, lines count from 1."""

    file: str
    line: int


@frozen
class Problem:
    """Something wrong with a manifest; `about` is `kind/name` where that much could be read, else empty."""

    file: str
    line: int
    column: int
    pointer: str
    message: str
    hint: str = ""
    about: str = ""
    code: str = "invalid"
    warning: bool = False


@frozen
class Place:
    """A project in one environment: what names are unique in, and what is pruned together."""

    project: str
    environment: str


@frozen
class Standing:
    """Where a work tree stands: `branch` is empty when HEAD is detached, `branches` are those that it counts as.

    `operation` is what is under way in it, as a reason (`merge-in-progress`).
    """

    root: str
    branch: str
    commit: str
    branches: frozenset[str] = frozenset()
    operation: str = ""


@frozen
class Retry:
    """How often and how soon something that failed is tried again; `max_attempts` 0 means without limit."""

    max_attempts: int
    initial_interval: timedelta
    factor: float
    max_interval: timedelta
    jitter: bool = True


@frozen
class EnvVar:
    """One variable of a workflow's environment: a value, or the name of a secret in the settings."""

    name: str
    value: str | None = None
    secret: str | None = None


@frozen
class Code:
    """The code of a workflow as it is in the folder: `files` maps paths below `root` to SHA-256, `root` is a path below `folder`.

    `folder` is the absolute path of the manifests. Inline code has its text in `text`, and no `root` and `folder`.
    """

    files: Mapping[str, str]
    entry: str
    root: str = ""
    text: str | None = None
    folder: str = ""


@frozen
class Workflow:
    """A declared workflow. `revision` is the digest of everything that runs are pinned to."""

    name: str
    revision: str
    runtime: str
    adapter: str
    code: Code
    retry: Retry
    step_retry: Retry
    step_timeout: timedelta | None
    timeout: timedelta | None
    grace: timedelta
    cleanup: timedelta
    title: str = ""
    description: str = ""
    version: str = ""
    block: Mapping[str, Json] = made(default_factory=dict)
    input_schema: Json = None
    env: tuple[EnvVar, ...] = ()
    signals: Mapping[str, Json] = made(default_factory=dict)
    concurrency: int = 0
    keep: Mapping[str, Json] = made(default_factory=dict)
    prune: str = "enabled"
    drift: str = "heal"
    labels: Mapping[str, str] = made(default_factory=dict)
    source: Source = Source("", 0)


@frozen
class Run:
    """A declared run. `spec_hash` stands for workflow and input as written, before variables."""

    name: str
    workflow: str
    spec_hash: str
    input: Json = None
    task: Json = None
    cancel: bool = False
    suspend: bool = False
    rerun: str = ""
    start_after: datetime | None = None
    start_deadline: timedelta | None = None
    depends_on: tuple[str, ...] = ()
    priority: int = 0
    signals: Mapping[str, Json] = made(default_factory=dict)
    on_change: str = "reject"
    on_delete: str = "cancel"
    prune: str = "enabled"
    labels: Mapping[str, str] = made(default_factory=dict)
    source: Source = Source("", 0)


@frozen
class Schedule:
    """A declared schedule, its fields as written."""

    name: str
    spec: Mapping[str, Json]
    labels: Mapping[str, str] = made(default_factory=dict)
    source: Source = Source("", 0)


@frozen
class Desired:
    """What one folder declares for one place.

    `invalid` names objects (`run/x`) that are there but cannot be used: they are neither started nor pruned. `complete` is false when
    something in the folder could not be read, so that what is absent may only seem to be. `unstable` names files that a writer still
    holds. `foreign` counts documents that are not ours. `settled_at` is when everything that was read or listed is two seconds old, `files_settled_at`
    is that of the files alone: what vanished counts from then on. `unread` are paths below which a committed tree holds what cannot be read. `released` are
    folders that have let go of what they owned here. `local` marks the folder that commands write into.
    """

    folder: str
    place: Place
    lineage: str = ""
    branch: str = ""
    prune_max: int | None = None
    workflows: Mapping[str, Workflow] = made(default_factory=dict)
    runs: Mapping[str, Run] = made(default_factory=dict)
    schedules: Mapping[str, Schedule] = made(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    invalid: frozenset[str] = frozenset()
    unstable: tuple[str, ...] = ()
    foreign: int = 0
    files: int = 0
    complete: bool = True
    settled_at: datetime | None = None
    files_settled_at: datetime | None = None
    unread: tuple[str, ...] = ()
    released: frozenset[str] = frozenset()
    local: bool = False
