"""The contract between the reconciler and a platform: what can be asked of an adapter, and what it may answer.

An adapter deploys revisions, carries out runs under claims, and says what it sees. Its answers have three kinds: found, not found
(`Missing`) and `Unknown`; only the first two are facts. Every request may come twice, because the process may die between asking and recording:
each one is idempotent under the identity that it carries (digest, uid, claim number).

A pass waits for every call but `deploy`, which a loop makes in another thread (`reconciler/errands.py`), several at a time and beside any other call:
it may take minutes. `retire` and `remove` may take as long as deleting files takes. Everything else is to be answered at once: where handing over a
claim is slow (an image to be pulled, a distant platform), `start` returns when the platform has accepted it, and `observe` tells the rest.
A platform that limits its callers raises UnavailableError with `retry_after`, or answers an order with it; it is left alone for that long.

What an adapter may lack is in `runtimes/PROTOCOL.md`, section 13: a platform that wakes runs by itself never reports `LetGo`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
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


def revision_facts(revision: Revision) -> dict[str, Json]:
    """Write a revision as a JSON value."""
    env = [[variable.name, variable.value, variable.secret] for variable in revision.env]
    facts = {name: getattr(revision, name) for name in ("digest", "workflow", "runtime", "entry", "version", "block", "settings")}
    return {**facts, "env": env}


def revision_from(facts: Mapping[str, Any]) -> Revision:
    """Read what `revision_facts` wrote."""
    return Revision(**{**facts, "env": tuple(EnvVar(*variable) for variable in facts["env"])})


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
    """The order could not be handed over. `again` says whether the same order may work later, `retry_after` how long the platform wants to be left alone."""

    uid: str
    reason: str
    message: str
    again: bool
    retry_after: timedelta | None = None


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
class OpenApproval:
    """A wait that a person shall answer, and has not yet: what was asked, and until when an answer counts.

    `seq` is the position of its request among the records of the journal that count. In an `attempt` of the body a key is asked for once: a signal
    with both is for this wait alone.
    """

    key: str
    signal: str
    title: str
    description: str
    seq: int
    until: datetime | None = None
    attempt: int = 1


@frozen
class Seen:
    """How far a run has come; `size` stands for everything that was read, so that an equal size means nothing new.

    `barren` counts claims in a row that ended by death without a new result, `graces` those that ended by a grace that ran out. `asks` are open
    requests to others, `approvals` waits that a person shall answer, `mail` says that its inbox holds what its last claim has not read. `undoes`: there are completed steps that something
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
    approvals: tuple[OpenApproval, ...] = ()
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
class Inventory:
    """Everything that a platform holds: uids with what is wrong with their journals (None: nothing), revisions, and what belongs to nothing."""

    runs: Mapping[str, str | None] = made(default_factory=dict)
    revisions: frozenset[str] = frozenset()
    strays: tuple[str, ...] = ()


@frozen
class Keepsake:
    """One file of a backup: its path below the platform's folder, and where it is. `whole_lines` of it count; `link` is the target of a link."""

    name: str
    path: str
    whole_lines: bool = False
    link: str | None = None


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
        """Return which of these revisions are there, also those that were altered since. Raises UnavailableError if that cannot be known."""
        ...

    def altered(self, digests: Sequence[str], *, deep: bool = False) -> Mapping[str, str]:
        """Return which of these revisions are there but not as they were deployed, and in which way (`code/main.py was changed`).

        Cheap when nothing was touched, exact when something was; `deep` looks at everything, also at what is too large for every pass.
        Raises UnavailableError.
        """
        ...

    def deploy(self, revision: Revision, code: Mapping[str, bytes], progress: Progress) -> Json:
        """Make `revision` ready to run and return what was resolved (interpreter, versions of dependencies).

        Idempotent under the digest: what is there as it was deployed stays as it is, what was altered is replaced in one go, under living
        workers too. Raises RejectedError or UnavailableError.
        """
        ...

    def abandon(self, digest: str) -> None:
        """Let a `deploy` of this revision that is under way in another thread fail soon: nobody wants it any more. Nothing there is fine."""
        ...

    def retire(self, digest: str) -> None:
        """Remove a revision that no run needs; one that is not there is fine. Raises UnavailableError."""
        ...

    def describe(self, revision: Revision) -> None:
        """Keep beside a deployed revision what a lost database would need of it. Idempotent."""
        ...

    def described(self, digest: str) -> Revision | None:
        """Return what `describe` kept, None where that is gone."""
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
        """Return every run that the platform holds for this installation whose first record can be read. Raises UnavailableError."""
        ...

    def messages(self, uid: str) -> list[Mapping[str, Any]]:
        """Return the messages in the inbox of a run, in their order; those that cannot be read are left out."""
        ...

    def inventory(self) -> Inventory:
        """Read every journal, and say what is there. Raises UnavailableError."""
        ...

    def home(self) -> str | None:
        """Return the folder that holds everything of this platform here, if there is one."""
        ...

    def workers(self, home: str) -> int:
        """Return how many workers are alive in such a folder, be it this adapter's own or a copy of it."""
        ...

    def take_newer(self, home: str) -> int:
        """Take over the runs of which another such folder tells more than the own, and return how many."""
        ...

    def keepsakes(self, uids: Sequence[str], digests: Sequence[str]) -> Iterator[Keepsake]:
        """Return what carrying on these runs, pinned to these revisions, needs elsewhere; none where the platform itself keeps it."""
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
