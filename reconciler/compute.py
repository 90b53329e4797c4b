"""The contract between the reconciler and a platform: what can be asked of an adapter, and what it may answer.

An adapter deploys revisions, carries out runs under claims, and says what it sees. Its answers have three kinds: found, not found
(`Missing`) and `Unknown`; only the first two are facts. Every request may come twice, because the process may die between asking and recording:
each one is idempotent under the identity that it carries (digest, uid, claim number).

What an adapter may lack is in `runtimes/PROTOCOL.md`, section 13: a platform that wakes runs by itself never reports `LetGo`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from reconciler.digest import Json
from reconciler.history import History
from reconciler.model import EnvVar, Status
from reconciler.values import frozen, made

Progress = Callable[[str], None]


@frozen
class Revision:
    """What runs are pinned to, as an adapter needs it. `settings` is the part that goes into each order."""

    digest: str
    workflow: str
    runtime: str
    entry: str
    version: str = ""
    env: tuple[EnvVar, ...] = ()
    block: Mapping[str, Json] = made(default_factory=dict)
    settings: Mapping[str, Json] = made(default_factory=dict)


@frozen
class Order:
    """One claim that a worker shall take. `first` is the run's first record; `alone` keeps others off its worker."""

    uid: str
    claim: int
    revision: Revision
    first: Mapping[str, Any]
    env: Mapping[str, str] = made(default_factory=dict)
    alone: bool = False


@frozen
class Ordered:
    """The order was handed over, or the run was there already (`adopted`) with the same spec."""

    uid: str
    adopted: bool = False


@frozen
class Refused:
    """The order could not be handed over. `again` says whether the same order may work later."""

    uid: str
    reason: str
    message: str
    again: bool


Outcome = Ordered | Refused


@frozen
class Ask:
    """Something that a run waits for and that somebody else must do: `child` (start a run) or `send` (a signal to another run).

    `request` is the record of the request, `attempt` the attempt of the body that made it.
    """

    key: str
    kind: str
    attempt: int
    request: Mapping[str, Any] = made(default_factory=dict)


@frozen
class Seen:
    """How far a run has come; `size` stands for everything that was read, so that an equal size means nothing new.

    `barren` counts claims in a row that ended by death without a new result, `graces` those that ended by a grace that ran out. `asks` are open
    requests to others, `mail` says that its inbox holds what its last claim has not read. `undoes`: there are completed steps that something
    undoes; `on_cancel`: there is a function for a cancel; `winding_down`: its body is over, and only clean-up is left. A try that is running should
    be over at `overrun_at`. Its latest claim was made at `claimed_at`.
    """

    claim: int = 0
    size: int = 0
    attempt: int = 1
    started_at: datetime | None = None
    barren: int = 0
    deaths: int = 0
    graces: int = 0
    asks: tuple[Ask, ...] = ()
    mail: bool = False
    undoes: bool = False
    on_cancel: bool = False
    winding_down: bool = False
    overrun_at: datetime | None = None
    claimed_at: datetime | None = None


@frozen
class Missing:
    """The platform surely holds nothing under this uid."""


@frozen
class Unknown:
    """The platform could not be asked; nothing follows from that."""

    reason: str


@frozen
class Unclaimed:
    """The run is there, but nobody has taken the latest claim. `ordered`: a living worker still may; it was told to at `ordered_at`."""

    seen: Seen
    ordered: bool
    ordered_at: datetime | None = None


@frozen
class Live:
    """A living worker holds the run; `due_at` is what it waits for, if it waits for a time."""

    seen: Seen
    status: Status
    due_at: datetime | None = None


@frozen
class LetGo:
    """The claim ended without an end of the run: `parked`, or the reason of its release."""

    seen: Seen
    reason: str
    status: Status
    due_at: datetime | None = None


@frozen
class Gone:
    """The worker died without an end of its claim."""

    seen: Seen


@frozen
class Finished:
    """The run has ended; nothing changes that."""

    seen: Seen
    status: Status
    completed_at: datetime
    output: Json = None
    error: Json = None
    reason: str = ""


@frozen
class Quarantined:
    """The run's journal is damaged; its bytes are kept and nothing is done to the run."""

    message: str


Observation = Missing | Unknown | Unclaimed | Live | LetGo | Gone | Finished | Quarantined


@frozen
class Watched:
    """What tells that a look is worth while: folders to watch, and descriptors that become readable or fail."""

    folders: tuple[str, ...] = ()
    descriptors: tuple[int, ...] = ()


@frozen
class Found:
    """A run that a platform holds, with what its first record says: enough to rebuild a lost database."""

    uid: str
    order: Mapping[str, Any]


@frozen
class Verdict:
    """Whether a journal fits some code: how many of its requests the code has made, the first difference, and what the code would do next."""

    fits: bool
    asked: int
    recorded: int
    difference: str | None = None
    next: Mapping[str, str] | None = None
    end: str | None = None


@frozen
class Finding:
    """One thing that `doctor` looked at; `advice` says what to do where it is not well."""

    name: str
    ok: bool
    found: str
    advice: str = ""


class Adapter(Protocol):
    """One platform."""

    name: str

    def missing(self, revision: Revision) -> str | None:
        """Return what keeps this machine from running `revision` (`needs node, ...`), or None."""
        ...

    def deployed(self, digests: Sequence[str]) -> frozenset[str]:
        """Return which of these revisions are there, whole. Raises UnavailableError if that cannot be known."""
        ...

    def deploy(self, revision: Revision, code: Mapping[str, bytes], progress: Progress) -> Json:
        """Make `revision` ready to run and return what was resolved (interpreter, versions of dependencies).

        Idempotent under the digest; what is there stays as it is. Raises RejectedError or UnavailableError.
        """
        ...

    def retire(self, digest: str) -> None:
        """Remove a revision that no run needs; one that is not there is fine. Raises UnavailableError."""
        ...

    def observe(self, claims: Mapping[str, int]) -> dict[str, Observation]:
        """Say what is known of each uid; the number is the latest claim that was decided for it."""
        ...

    def start(self, orders: Sequence[Order], progress: Progress) -> list[Outcome]:
        """Hand over claims, in this order, and return when every worker has its share. Idempotent under (uid, claim).

        Raises UnavailableError if none of them could be handed over, or it is not known which.
        """
        ...

    def send(self, uid: str, message: Mapping[str, Any]) -> None:
        """Put a message into the inbox of a run and wake its worker. A message with an `id` that is there already is not sent again."""
        ...

    def kill(self, uid: str) -> None:
        """Kill the worker that holds a run, or was ordered to take it, with its whole process tree; nobody there is fine.

        Other runs that the worker holds are told to go on elsewhere first: until they have (or do not answer in their time), nothing is killed, and
        the next call looks again. Raises UnavailableError.
        """
        ...

    def end(self, uid: str, claim: int, first: Mapping[str, Any], finished: Mapping[str, Any]) -> Finished:
        """Write the terminal record of a run without a living worker, under `claim`.

        Returns the end that counts: this one, or the one that was there before. Raises UnavailableError while a worker lives.
        """
        ...

    def history(self, uid: str) -> History | None:
        """Return what the journal tells, for people who ask. Raises DamagedError, UnavailableError."""
        ...

    def records(self, uid: str) -> list[Mapping[str, Any]]:
        """Return the records of a journal that count, none if there is none. Raises DamagedError, UnavailableError."""
        ...

    def replay(self, uid: str, revision: Revision, progress: Progress) -> Verdict:
        """Carry the journal of a run out against the code of `revision`, which is deployed, without any effect. Raises UnavailableError."""
        ...

    def output(self, uid: str, offset: int = 0) -> Iterator[bytes]:
        """Return what the user's code printed, from `offset` on, in pieces."""
        ...

    def folder(self, uid: str) -> str | None:
        """Return the folder that belongs to the run and survives it, if it has one."""
        ...

    def remove(self, uid: str) -> None:
        """Remove everything of a run that has ended; nothing there is fine."""
        ...

    def found(self) -> Iterator[Found]:
        """Return every run that the platform holds for this installation."""
        ...

    def examine(self) -> list[Finding]:
        """Look at what the platform needs here, for `doctor`."""
        ...

    def watched(self) -> Watched:
        """Return what to watch between two passes."""
        ...

    def drain_changes(self) -> frozenset[str]:
        """Return the uids that were reported as changed since the last call, and forget them."""
        ...

    def close(self) -> None:
        """Let go of descriptors and threads; runs go on."""
        ...
