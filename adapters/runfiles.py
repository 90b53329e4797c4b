"""The files of runs under a path prefix, as `runtimes/PROTOCOL.md` section 2 lays them out."""

import os
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from reconciler.compute import Ask, Finished, OpenApproval, Seen
from reconciler.errors import DamagedError, UnavailableError
from reconciler.history import ASKING, History, died_with_machine, fold
from reconciler.journal import RECONCILER, decode_line, encode_line, whole_length
from reconciler.model import Status
from reconciler.values import frozen

_PIECE = 1 << 16


@frozen
class RunFiles:
    """Where one run lives: every path begins with `prefix`."""

    prefix: str

    @property
    def journal(self) -> str:
        """The journal's path."""
        return self.prefix + "journal.jsonl"

    @property
    def output(self) -> str:
        """The path of what the user's code prints."""
        return self.prefix + "output.log"

    @property
    def inbox(self) -> str:
        """The folder of messages to the run."""
        return self.prefix + "inbox"

    @property
    def files(self) -> str:
        """The folder that belongs to the user's code."""
        return self.prefix + "files"

    def size(self) -> int:
        """Return the size of the journal in bytes, -1 if there is none."""
        try:
            return os.stat(self.journal).st_size
        except FileNotFoundError:
            return -1

    def read(self, offset: int = 0) -> bytes:
        """Return the journal's bytes from `offset` on, empty if there is none."""
        try:
            with open(self.journal, "rb") as file:
                file.seek(offset)
                return file.read()
        except FileNotFoundError:
            return b""

    def create(self, first: Mapping[str, Any]) -> bool:
        """Write the first record of a run unless there is a journal; say whether it was written. The caller syncs the folder, once for a batch."""
        try:
            fd = os.open(self.journal, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            return False
        try:
            os.write(fd, encode_line(first))
        finally:
            os.close(fd)
        return True

    def create_again(self, first: Mapping[str, Any]) -> None:
        """Write the first record into a journal that is there and was never created: empty, or NULs, after a power cut."""
        os.truncate(self.journal, 0)
        with open(self.journal, "ab", buffering=0) as file:
            file.write(encode_line(first))

    def cut_torn_tail(self) -> None:
        """Cut what a dying writer left of its last line. Only for runs without a living worker."""
        data = self.read()
        whole = whole_length(data)
        if whole < len(data):
            os.truncate(self.journal, whole)

    def end(self, claim: int, finished: Mapping[str, Any], *, worker: str = RECONCILER) -> None:
        """Claim a run whose worker is dead, append its terminal record, and sync."""
        self.cut_torn_tail()
        history = fold(self.read())
        if history is None:
            return
        if history.finished is not None:
            self.sync()
            return
        number = max(claim, history.claim + 1)
        base = {"claim": number, "at": finished["at"]}
        lines = encode_line({"type": "claim", **base, "seq": 1, "worker": worker, "after": history.records})
        lines += encode_line({"type": "finished", **base, "seq": 2, **finished})
        fd = os.open(self.journal, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        try:
            os.write(fd, lines)
            os.fdatasync(fd)
        finally:
            os.close(fd)

    def sync(self) -> None:
        """Make durable what the journal holds. Raises UnavailableError if the storage fails."""
        try:
            fd = os.open(self.journal, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fdatasync(fd)
            finally:
                os.close(fd)
        except OSError as error:
            message = f"{self.journal} cannot be synced: {error.strerror}"
            raise UnavailableError(message) from error

    def send(self, message: Mapping[str, Any]) -> None:
        """Put a message into the inbox, under the next number; one with the same `id` is not sent again."""
        os.makedirs(self.inbox, mode=0o700, exist_ok=True)
        numbers = []
        for name in os.listdir(self.inbox):
            if name.endswith(".json") and name[:-5].isdigit():
                numbers.append(int(name[:-5]))
                if message.get("id") is not None and self._message(name).get("id") == message["id"]:
                    sync_folder(self.inbox)  # whoever sent it may have died before this
                    return
        if not numbers:
            sync_folder(os.path.dirname(self.inbox))
        number = max(numbers, default=0) + 1
        temporary = os.path.join(self.inbox, f".{number:06d}")
        with open(temporary, "wb") as file:
            file.write(encode_line(message))
            file.flush()
            os.fdatasync(file.fileno())
        os.rename(temporary, os.path.join(self.inbox, f"{number:06d}.json"))
        sync_folder(self.inbox)

    def messages(self) -> int:
        """Return the highest number in the inbox, 0 if it is empty."""
        try:
            names = os.listdir(self.inbox)
        except FileNotFoundError:
            return 0
        return max((int(name[:-5]) for name in names if name.endswith(".json") and name[:-5].isdigit()), default=0)

    def mail(self) -> list[Mapping[str, Any]]:
        """Return the messages in the inbox, in their order; those that cannot be read are left out."""
        found = (self._message(f"{number:06d}.json") for number in range(1, self.messages() + 1))
        return [message for message in found if message]

    def _message(self, name: str) -> Mapping[str, Any]:
        try:
            return decode_line(Path(self.inbox, name).read_bytes().rstrip(b"\n"))
        except (DamagedError, OSError):
            return {}

    def printed(self, offset: int) -> Iterator[bytes]:
        """Return what was printed from `offset` on, in pieces."""
        try:
            with open(self.output, "rb") as file:
                file.seek(offset)
                while piece := file.read(_PIECE):
                    yield piece
        except FileNotFoundError:
            return

    def remove(self) -> None:
        """Remove everything of the run, the journal last, so that a crash in between leaves a run that can be removed again."""
        import shutil

        for folder in (self.inbox, self.files):
            shutil.rmtree(folder, ignore_errors=True)
        for path in (self.output, self.journal):
            Path(path).unlink(missing_ok=True)


def sync_folder(folder: str) -> None:
    """Make the names in a folder durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def instant(text: str | None) -> datetime | None:
    """Read an instant of a record."""
    return None if text is None else datetime.fromisoformat(text)


def seen(history: History, size: int, *, boot: str | None = None) -> Seen:
    """Say how far a run has come, from its journal; `boot` is the machine's present boot."""
    barren = 1 if history.fruitful else history.barren_deaths + 1
    if died_with_machine(history.boot, boot):
        barren = history.barren_deaths
    return Seen(
        claim=history.claim,
        size=size,
        attempt=history.attempt,
        started_at=instant(history.started_at),
        barren=barren,
        deaths=history.deaths,
        graces=history.graces,
        asks=tuple(
            Ask(call.key, call.kind, history.attempt, call.request)
            for call in history.calls.values()
            if call.status == "running" and call.kind in ASKING
        ),
        approvals=_approvals(history) if history.approvals else (),
        undoes=history.undoes,
        on_cancel=history.on_cancel,
        winding_down=history.canceling is not None or history.ending is not None,
        overrun_at=history.overrun_at(),
        claimed_at=instant(history.claimed_at),
    )


def _approvals(history: History) -> tuple[OpenApproval, ...]:
    """Return what a person is asked."""
    return tuple(
        OpenApproval(
            call.key,
            call.request["signal"],
            call.request["approval"]["title"],
            call.request["approval"].get("description", ""),
            call.request_seq,
            instant(call.until),
            history.attempt,
        )
        for call in history.open_approvals()
    )


def finished(history: History, size: int) -> Finished:
    """Return the end that a journal records."""
    end = history.finished
    assert end is not None
    completed_at = instant(end["at"])
    assert completed_at is not None
    error = end.get("error")
    step = None if error is None else history.failed_step(error)
    if error is not None and step is not None:
        error = {**error, "step": step}
    return Finished(seen(history, size), Status(end["status"]), completed_at, end.get("output"), error, end.get("reason", ""))
