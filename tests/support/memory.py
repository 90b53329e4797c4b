"""The reference of the adapter contract: a platform in memory, whose workers are as quick as a call."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from adapters.runfiles import finished, instant, seen
from reconciler.compute import (
    Adapter,
    Finding,
    Finished,
    Found,
    Gone,
    Inventory,
    Keepsake,
    LetGo,
    Live,
    Missing,
    Observation,
    Order,
    Ordered,
    Outcome,
    Progress,
    Refused,
    Revision,
    Unclaimed,
    Verdict,
    Watched,
)
from reconciler.digest import Json
from reconciler.errors import RejectedError, UnavailableError
from reconciler.history import History, fold
from reconciler.journal import RECONCILER, accepted, decode_lines, encode_line
from reconciler.model import Status
from reconciler.values import replace
from tests.support.workers import now


@dataclass
class Platform:
    """What survives an adapter: journals, inboxes, revisions, and who is alive."""

    journals: dict[str, bytes] = field(default_factory=dict)
    made_by: dict[str, str] = field(default_factory=dict)
    inboxes: dict[str, list[Mapping[str, Any]]] = field(default_factory=dict)
    printed: dict[str, bytes] = field(default_factory=dict)
    revisions: dict[str, dict[str, bytes]] = field(default_factory=dict)
    sealed: dict[str, dict[str, bytes]] = field(default_factory=dict)
    descriptions: dict[str, Revision] = field(default_factory=dict)
    alive: set[str] = field(default_factory=set)
    ordered: dict[str, int] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)
    writes: int = 0
    down: bool = False
    deploys: bool = True

    def append(self, uid: str, claim: int, *records: Mapping[str, Any]) -> None:
        """Append records of a claim to a journal."""
        history = fold(self.journals[uid])
        assert history is not None
        for record in records:
            base = {"claim": claim, "at": now()}
            fresh = fold(self.journals[uid])
            assert fresh is not None
            number = 1 if record["type"] == "claim" else 1 + sum(b'"claim":%d,' % claim in line for line in self.journals[uid].splitlines())
            self.journals[uid] += encode_line({**record, **base, "seq": number})
        self.changed.add(uid)


class MemoryAdapter:
    """An adapter over a `Platform`. The entry of a revision names what its runs do: `echo`, `fail`, `park`, `crash`, `work`, `deaf`,
    `parent` (waits for a child), `wait` (for a signal), `tell` (sends one to the run `a`), `undo` (parks, and undoes a step when it is canceled).
    """

    name = "memory"

    def __init__(self, platform: Platform, installation: str = "") -> None:
        """What this installation has put there is marked as its own."""
        self.platform, self.installation = platform, installation

    def missing(self, revision: Revision) -> str | None:
        return "needs a runtime that is nowhere" if revision.runtime == "nowhere" else None

    def deployed(self, digests: Sequence[str]) -> frozenset[str]:
        self._up()
        return frozenset(digests) & self.platform.revisions.keys()

    def deploy(self, revision: Revision, code: Mapping[str, bytes], progress: Progress) -> Json:
        self._up()
        if not self.platform.deploys:
            raise UnavailableError("there is no room for code")
        if revision.digest not in self.platform.revisions or self.altered([revision.digest]):
            self.platform.writes += 1
            self.platform.revisions[revision.digest] = dict(code)
            self.platform.sealed[revision.digest] = dict(code)
        progress("deployed")
        return {"interpreter": "memory"}

    def altered(self, digests: Sequence[str], *, deep: bool = False) -> Mapping[str, str]:
        self._up()
        platform = self.platform
        return {
            digest: "its code was changed"
            for digest in digests
            if digest in platform.revisions and platform.revisions[digest] != platform.sealed[digest]
        }

    def abandon(self, digest: str) -> None:
        """Nothing takes long here."""

    def retire(self, digest: str) -> None:
        self._up()
        self.platform.revisions.pop(digest, None)
        self.platform.sealed.pop(digest, None)

    def observe(self, claims: Mapping[str, int]) -> dict[str, Observation]:
        self._up()
        return {uid: self._observe(uid, claim) for uid, claim in claims.items()}

    def _observe(self, uid: str, claim: int) -> Observation:
        history, size = self.history(uid), len(self.platform.journals.get(uid, b""))
        if history is None:
            return Missing()
        if history.finished is not None:
            return finished(history, size)
        if history.claim < claim:
            return Unclaimed(seen(history, size), ordered=self.platform.ordered.get(uid) == claim)
        if history.let_go is not None:
            mail = history.unread(len(self.platform.inboxes.get(uid, ())))
            return LetGo(replace(seen(history, size), mail=mail), history.let_go, Status(history.status), instant(history.due()))
        return Live(seen(history, size), Status(history.status)) if uid in self.platform.alive else Gone(seen(history, size))

    def start(self, orders: Sequence[Order], progress: Progress) -> list[Outcome]:
        self._up()
        return [self._start(order) for order in orders]

    def _start(self, order: Order) -> Outcome:
        platform, uid = self.platform, order.uid
        history = self.history(uid)
        if history is None:
            platform.journals[uid] = encode_line(order.first)
            platform.made_by[uid] = self.installation
        elif history.order["spec_hash"] != order.first["spec_hash"]:
            return Refused(uid, "conflict", f"{uid} holds another run", again=False)
        elif history.finished is not None or history.claim >= order.claim:
            return Ordered(uid, adopted=True)
        platform.writes += 1
        after = 1 if history is None else history.records
        platform.append(uid, order.claim, {"type": "claim", "worker": f"m{order.claim}", "after": after})
        self._behave(order)
        return Ordered(uid)

    def _behave(self, order: Order) -> None:
        platform, uid, claim = self.platform, order.uid, order.claim
        step = {"type": "requested", "key": "work", "kind": "step", "after": 0, "try": claim}
        match order.revision.entry:
            case "echo":
                platform.printed[uid] = b"hello\n"
                done = {"type": "completed", "key": "work", "value": 1, "try": 1}
                platform.append(uid, claim, step, done, {"type": "finished", "status": "completed", "output": order.first["input"]})
            case "fail":
                error = {"name": "ValueError", "message": "no"}
                platform.append(uid, claim, {"type": "finished", "status": "failed", "error": error, "output": None})
            case "park":
                sleep = {"type": "requested", "key": "nap", "kind": "sleep", "after": 0, "until": "2100-01-01T00:00:00.000Z"}
                platform.append(
                    uid,
                    claim,
                    sleep,
                    {
                        "type": "parked",
                        "until": sleep["until"],
                        "waits": [{"key": "nap", "kind": "sleep"}],
                        "inbox": len(platform.inboxes.get(uid, [])),
                    },
                )
            case "work" | "deaf":
                platform.alive.add(uid)
                platform.append(uid, claim, step)
            case "crash":
                platform.append(uid, claim, step)
            case "parent":
                self._wait_for(order, {"key": "kid", "kind": "child", "workflow": "echo", "input": uid, "on_cancel": "cancel"}, "child")
            case "wait":
                self._wait_for(order, {"key": "go", "kind": "signal", "signal": "go"}, "signal")
            case "tell":
                self._wait_for(order, {"key": "go", "kind": "send", "run": "a", "signal": "go", "data": 1}, "sent")
            case "undo":
                self._undo(order, step)

    def _wait_for(self, order: Order, request: Mapping[str, Any], answer: str) -> None:
        """Wait for a message of a kind, and end with what it says."""
        platform, uid, claim = self.platform, order.uid, order.claim
        history = self.history(uid)
        assert history is not None
        if not history.calls:
            platform.append(uid, claim, {"type": "requested", "after": 0, **request})
        inbox = platform.inboxes.get(uid, [])
        found = [
            (number, message)
            for number, message in enumerate(inbox, 1)
            if message["type"] in (answer, "cancel") and message.get("name", "go") == "go"
        ]
        if not found:
            waits = [{"key": request["key"], "kind": request["kind"]}]
            platform.append(uid, claim, {"type": "parked", "waits": waits, "inbox": len(inbox)})
            return
        number, message = found[0]
        if message["type"] == "cancel":
            platform.append(uid, claim, {"type": "finished", "status": "canceled", "reason": message["reason"], "output": None})
            return
        done = {"type": "completed", "key": request["key"], "value": None, "inbox": number}
        output = {name: message.get(name) for name in ("status", "output", "data")}
        platform.append(uid, claim, done, {"type": "finished", "status": "completed", "output": output})

    def _undo(self, order: Order, step: Mapping[str, Any]) -> None:
        platform, uid, claim = self.platform, order.uid, order.claim
        history = self.history(uid)
        assert history is not None
        canceled = [message for message in platform.inboxes.get(uid, []) if message["type"] == "cancel"]
        if canceled:
            undo = {"type": "requested", "key": "work~compensate", "kind": "clean-up", "after": 0, "try": 1}
            done = {"type": "completed", "key": "work~compensate", "value": None, "try": 1}
            platform.append(uid, claim, {"type": "canceling", "reason": canceled[0]["reason"]}, undo, done)
            platform.append(uid, claim, {"type": "finished", "status": "canceled", "reason": canceled[0]["reason"], "output": None})
            return
        if not history.calls:
            platform.append(uid, claim, {**step, "compensate": True}, {"type": "completed", "key": "work", "value": 1, "try": 1})
        platform.append(uid, claim, {"type": "parked", "waits": [{"key": "later", "kind": "signal"}], "inbox": len(platform.inboxes.get(uid, []))})

    def send(self, uid: str, message: Mapping[str, Any]) -> None:
        self._up()
        inbox = self.platform.inboxes.setdefault(uid, [])
        if any(known.get("id") == message.get("id") for known in inbox):
            return
        inbox.append(message)
        self.platform.writes += 1
        history = self.history(uid)
        if message["type"] == "cancel" and uid in self.platform.alive and history is not None and not self._deaf(history):
            self.platform.alive.discard(uid)
            canceling = {"type": "canceling", "inbox": len(inbox), "reason": message["reason"]}
            self.platform.append(
                uid, history.claim, canceling, {"type": "finished", "status": "canceled", "reason": message["reason"], "output": None}
            )

    @staticmethod
    def _deaf(history: History) -> bool:
        return bool(history.order["workflow"] == "deaf")

    def kill(self, uid: str) -> None:
        self._up()
        self.platform.alive.discard(uid)

    def end(self, uid: str, claim: int, first: Mapping[str, Any], finished_record: Mapping[str, Any]) -> Finished:
        self._up()
        if uid in self.platform.alive:
            raise UnavailableError(f"a worker still holds {uid}")
        history = self.history(uid)
        if history is None:
            self.platform.journals[uid] = encode_line(first)
            self.platform.made_by[uid] = self.installation
            history = self.history(uid)
        assert history is not None
        if history.order["spec_hash"] != first["spec_hash"]:
            raise RejectedError(f"{uid} holds another run")
        if history.finished is None:
            self.platform.writes += 1
            number = max(claim, history.claim + 1)
            claimed = {"type": "claim", "worker": RECONCILER, "after": history.records}
            self.platform.append(uid, number, claimed, {"type": "finished", "output": None, **finished_record})
        result = self._observe(uid, 0)
        assert isinstance(result, Finished)
        return result

    def history(self, uid: str) -> History | None:
        return fold(self.platform.journals.get(uid, b""))

    def records(self, uid: str) -> list[Mapping[str, Any]]:
        return accepted(decode_lines(self.platform.journals.get(uid, b"")))[0]

    def replay(self, uid: str, revision: Revision, progress: Progress) -> Verdict:
        progress("replaying")
        asked = sum(record["type"] == "requested" for record in self.records(uid))
        return Verdict(fits=True, asked=asked, recorded=asked)

    def output(self, uid: str, offset: int = 0) -> Iterator[bytes]:
        yield self.platform.printed.get(uid, b"")[offset:]

    def folder(self, uid: str) -> str | None:
        return None

    def remove(self, uid: str) -> None:
        for store in (self.platform.journals, self.platform.inboxes, self.platform.printed):
            store.pop(uid, None)

    def found(self) -> Iterator[Found]:
        for uid in sorted(self.platform.journals):
            history = self.history(uid) if self.platform.made_by.get(uid, "") == self.installation else None
            if history is not None:
                yield Found(uid, history.order)

    def describe(self, revision: Revision) -> None:
        self._up()
        self.platform.descriptions[revision.digest] = revision

    def described(self, digest: str) -> Revision | None:
        return self.platform.descriptions.get(digest)

    def messages(self, uid: str) -> list[Mapping[str, Any]]:
        return list(self.platform.inboxes.get(uid, ()))

    def inventory(self) -> Inventory:
        self._up()
        return Inventory(dict.fromkeys(self.platform.journals), frozenset(self.platform.revisions))

    def home(self) -> str | None:
        return None

    def workers(self, home: str) -> int:
        return 0

    def take_newer(self, home: str) -> int:
        return 0

    def keepsakes(self, uids: Sequence[str], digests: Sequence[str]) -> Iterator[Keepsake]:
        return iter(())

    def examine(self) -> list[Finding]:
        return [Finding("memory", True, "here")]

    def watched(self) -> Watched:
        return Watched()

    def drain_changes(self) -> frozenset[str]:
        changed = frozenset(self.platform.changed)
        self.platform.changed.clear()
        return changed

    def close(self) -> None:
        """Nothing is held."""

    def _up(self) -> None:
        if self.platform.down:
            raise UnavailableError("the platform is away")


def _is_an_adapter(adapter: MemoryAdapter) -> Adapter:
    return adapter
