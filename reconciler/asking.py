"""What people ask of one run by command: cancel, signal, rerun, replay. Recorded first; the next pass does it."""

import hashlib
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reconciler.compute import Adapter, Revision, Verdict
from reconciler.declared import declared_run, is_declared
from reconciler.digest import Json, digest_of, uid_of
from reconciler.errors import InvalidError, RejectedError, UsageError
from reconciler.history import IN_DOUBT, memo_of, undone_of
from reconciler.journal import decode_json, encode_json
from reconciler.model import TERMINAL, Place, Run
from reconciler.people import person
from reconciler.recorded import KnownWorkflow, RunLine
from reconciler.relations import signal_fault
from reconciler.service import Service
from reconciler.state import Store, events, messages, requests, runs, workflows
from reconciler.values import frozen, replace

Row = Mapping[str, Any]
_NO_CODE = frozenset({".git", "node_modules", ".venv", "__pycache__"})
_MOST_CODE = 64 << 20
_LONGEST = 200


@frozen
class Again:
    """How a run is run again: from its beginning, with what succeeded (`failed`), or with what was before a step (`before`)."""

    failed: bool = False
    before: str | None = None
    same_revision: bool = False

    @property
    def keeps(self) -> bool:
        """Say whether results of the last incarnation are kept."""
        return self.failed or self.before is not None

    @property
    def why(self) -> str:
        """Say what was asked for."""
        what = "what failed" if self.failed else f"from {self.before!r}" if self.before is not None else "from the beginning"
        return f"rerun by command, {what}"


@frozen
class NextRun:
    """The incarnation that a rerun makes, and whether the present one is canceled first."""

    uid: str
    incarnation: int
    waits_for: str | None = None


def place_of(row: Row) -> Place:
    """Return where a run belongs."""
    return Place(row["project"], row["environment"])


def check_journal(row: Row) -> None:
    """Refuse to ask something of a run whose journal is damaged: nothing is done to it. Raises RejectedError, which says what a person can do."""
    if row["reason"] == "quarantined":
        way = f"move that file away and keep it, then `ty-openworkflow cancel {row['name']}` settles the run"
        message = f"run {row['name']!r} is quarantined: {row['message']}. Nothing is done to it: {way}"
        raise RejectedError(message)


def cancel(service: Service, row: Row, reason: str) -> None:
    """Record that a run shall be canceled; the next pass does it. The request stands until the run has ended. Raises RejectedError."""
    check_journal(row)
    with service.writing("cancel") as store, store.transaction():
        about, who, now = f"run/{row['name']}", person(), service.clock.now()
        if not runs.ask_to_cancel(store, row["uid"], reason):
            return
        requests.add_request(store, place_of(row), about, "cancel", {"reason": reason, "uid": row["uid"]}, who, now=now, handled=False)
        events.add_event(store, place_of(row), about, "canceling", f"canceled by {who}: {reason}", now=now)


def signal(service: Service, row: Row, name: str, data: Json, number: str | None) -> bool:
    """Record a signal for a run; false if it was sent before under that id. Raises InvalidError for data that the workflow refuses."""
    _check_signal(service, name, data, number)
    if name.endswith(IN_DOUBT):
        number = _decision(service, row, name, data)
    with service.writing("signal") as store, store.transaction():
        known = workflows.known_workflows(store, place_of(row)).get(row["workflow"])
        fault = signal_fault(known, name, data)
        if fault is not None:
            raise InvalidError(fault)
        number = f"command/{number or secrets.token_hex(8)}"
        now = service.clock.now()
        if not messages.remember(store, row["uid"], number, {"type": "signal", "id": number, "name": name, "data": data}, now=now):
            known_one = messages.messages_of_active(store)[row["uid"]][number].message
            if (known_one["name"], known_one["data"]) != (name, data):
                message = f"another signal was sent to run {row['name']!r} with that id: {known_one['name']} {encode_json(known_one['data'])}"
                raise RejectedError(message)
            return False
        about, who = f"run/{row['name']}", person()
        requests.add_request(store, place_of(row), about, "signal", {"name": name, "id": number, "data": data}, who, now=now)
        events.add_event(store, place_of(row), about, "signal", f"{name}: by {who}", now=now)
        return True


def _check_signal(service: Service, name: str, data: Json, number: str | None) -> None:
    """Refuse what no code can wait for."""
    plain_name = name.removesuffix(IN_DOUBT)
    occurrence = plain_name.rpartition("#")[2].isdigit() and "#" in plain_name and plain_name == name
    if not 1 <= len(plain_name.encode(errors="surrogateescape")) <= _LONGEST or "~" in plain_name or not plain_name.isprintable() or occurrence:
        hint = f"; the second wait for a signal gets the second one: send {plain_name.rpartition('#')[0]!r}" if occurrence else ""
        message = f"{name[:60]!r} is no name of a signal: 1 to {_LONGEST} bytes, no control characters, no '~', no '#' and digits at the end{hint}"
        raise UsageError(message)
    if number is not None and not 1 <= len(number) <= _LONGEST:
        message = f"--id: 1 to {_LONGEST} characters"
        raise UsageError(message)
    limit = service.settings.limits.value
    if len(encode_json(data).encode()) > limit:
        message = f"the data of signal {name!r} is larger than {limit} bytes (limits.value): pass a path or an address instead"
        raise RejectedError(message)


def _decision(service: Service, row: Row, name: str, data: Json) -> str:
    """Check a decision about a step in doubt, and return its id: there is one for each try."""
    key = name.removesuffix(IN_DOUBT)
    history = adapter_of(service, row).history(row["uid"])
    asked = {} if history is None else {call.key: call for call in history.calls.values() if call.status == "in-doubt"}
    if key not in asked:
        there = f"; {', '.join(asked)} is" if asked else ""
        message = f"run {row['name']!r}: step {key!r} is not in doubt{there}"
        raise RejectedError(message)
    if data not in ("retry", "fail") and not (isinstance(data, dict) and data.keys() == {"result"}):
        message = f'--data for {name} is "retry", "fail" or {{"result": VALUE}}: what became of the try that was cut off'
        raise UsageError(message)
    return f"{name}/{0 if history is None else history.attempt}/{asked[key].attempts}"


def was_delivered(service: Service, row: Row) -> bool:
    """Say whether every message that a run was sent is in its inbox."""
    with service.reading() as store:
        told = {} if store is None else messages.messages_of_active(store).get(row["uid"], {})
    return all(message.delivered for message in told.values())


def adapter_of(service: Service, row: Row) -> Adapter:
    """Return the platform of a run. Raises RejectedError if the settings do not enable it."""
    adapter = service.adapters.get(row["adapter"])
    if adapter is None:
        message = f"adapter {row['adapter']} is not enabled in the settings"
        raise RejectedError(message)
    return adapter


def rerun(service: Service, row: Row, how: Again) -> NextRun:
    """Record that a run shall be run again. Raises RejectedError where that has no meaning."""
    check_journal(row)
    _check_rerun(service, row, how)
    declared = None if how.keeps else declared_run(service, row)
    with service.writing("rerun") as store, store.transaction():
        place = place_of(row)
        line = runs.latest_runs(store, place)[row["name"]]
        data = _request(service, store, row, line, how, declared)
        if any(about == f"run/{row['name']}" and where == place for _, where, about, _ in requests.open_requests(store, "rerun")):
            message = f"run {row['name']!r} is about to be run again already"
            raise RejectedError(message)
        about, who, now = f"run/{row['name']}", person(), service.clock.now()
        requests.add_request(store, place, about, "rerun", data, who, now=now, handled=False)
        events.add_event(store, place, about, "rerun", f"by {who}: {how.why}", now=now)
        uid = uid_of(data["scope"], place.project, place.environment, row["name"], line.incarnation + 1)
        return NextRun(uid, line.incarnation + 1, None if line.ended else line.uid)


def _check_rerun(service: Service, row: Row, how: Again) -> None:
    name = row["name"]
    if how.failed and row["status"] not in TERMINAL:
        message = f"run {name!r} has not ended: there is nothing to retry yet"
        raise RejectedError(message)
    if how.failed and row["status"] == "completed":
        message = f"run {name!r} has completed: nothing of it failed; `ty-openworkflow rerun {name}` runs it once more from the beginning"
        raise RejectedError(message)
    if not how.keeps:
        return
    records = adapter_of(service, row).records(row["uid"])
    if not records:
        message = f"the journal of run {name!r} is gone: only `ty-openworkflow rerun {name}`, from the beginning, is possible"
        raise RejectedError(message)
    try:
        memo_of(records, how.before)
    except KeyError as error:
        known = list(dict.fromkeys(record["key"] for record in records if record["type"] == "requested" and not record["key"].startswith("ty/")))
        message = f"run {name!r} has no step {how.before!r}; its steps are {', '.join(known[:20]) or 'none'}"
        raise RejectedError(message) from error


def _request(service: Service, store: Store, row: Row, line: RunLine, how: Again, declared: Run | None) -> dict[str, Json]:
    """Return everything that the next incarnation is made of."""
    place = place_of(row)
    if declared is None and row["collected_at"] is not None:
        message = f"the input of run {row['name']!r} was collected, as `keep` says: declare it under another name to run it once more"
        raise RejectedError(message)
    workflow = line.workflow if declared is None else declared.workflow
    known = workflows.known_workflows(store, place).get(workflow)
    revision, adapter = _revision(service, line, row, known, how)
    child = runs.latest_facts(store, place, row["name"])
    origin = {} if child is None else {name: value for name, value in child.origin.items() if name in ("parent", "schedule")}
    if how.keeps:
        origin |= {"memo_of": line.uid, "memo_adapter": row["adapter"], "memo_before": how.before}
    if how.failed and not undone_of(adapter_of(service, row).records(row["uid"])):
        origin["seed"] = line.uid if child is None else child.origin.get("seed", line.uid)
    lineage = workflows.place_known(store, place)
    scope = origin["parent"]["uid"] if "parent" in origin else (lineage[0] if lineage and lineage[0] else service.scope)
    return {
        "why": how.why,
        "declared": declared is not None or is_declared(service, row),
        "workflow": workflow,
        "input": decode_json(row["input"]) if declared is None else declared.input,
        "spec_hash": line.spec_hash if declared is None else declared.spec_hash,
        "revision": revision,
        "adapter": adapter,
        "facts": decode_json(line.facts),
        "concurrency": 0 if known is None else known.facts.get("concurrency", 0),
        "scope": scope,
        "origin": origin,
    }


def _revision(service: Service, line: RunLine, row: Row, known: KnownWorkflow | None, how: Again) -> tuple[str, str]:
    """Return the revision that the next incarnation is pinned to, and its adapter."""
    if not how.same_revision:
        if known is None:
            message = f"workflow {line.workflow!r} of run {row['name']!r} is not deployed any more: declare it, or try --same-revision"
            raise RejectedError(message)
        return known.revision.digest, str(known.facts.get("adapter", "exec"))
    if line.revision not in adapter_of(service, row).deployed([line.revision]):
        message = f"revision {line.revision[:12]} of run {row['name']!r} is not there any more: without --same-revision it runs on the present one"
        raise RejectedError(message)
    return line.revision, row["adapter"]


def replay(service: Service, row: Row, code: Path | None) -> Verdict:
    """Say whether the journal of a run fits other code: that in `code` (a file or a folder), else the workflow's present revision."""
    adapter = adapter_of(service, row)
    history = adapter.history(row["uid"])
    if history is None:
        message = f"run {row['name']!r} has no journal: it never started, or it was removed"
        raise RejectedError(message)
    with service.reading() as store:
        known = None if store is None else workflows.known_workflows(store, place_of(row)).get(row["workflow"])
    if known is None:
        message = f"workflow {row['workflow']!r} of run {row['name']!r} is not deployed here"
        raise RejectedError(message)
    if code is None:
        return adapter.replay(row["uid"], known.revision, service.progress)
    files, entry = _read_code(code, known.revision)
    digest = digest_of([{path: hashlib.sha256(data).hexdigest() for path, data in files.items()}, entry, "replay", secrets.token_hex(8)])
    revision = replace(known.revision, digest=digest, entry=entry)
    adapter.deploy(revision, files, service.progress)
    try:
        return adapter.replay(row["uid"], revision, service.progress)
    finally:
        adapter.retire(digest)


def _read_code(code: Path, revision: Revision) -> tuple[dict[str, bytes], str]:
    """Return the files of some code and which of them is its entry. Raises UsageError."""
    if code.is_file():
        return {code.name: code.read_bytes()}, code.name
    if not code.is_dir():
        message = f"--code {code}: there is no such file or folder"
        raise UsageError(message)
    files: dict[str, bytes] = {}
    for folder, below, names in os.walk(code):
        below[:] = sorted(set(below) - _NO_CODE)
        for name in names:
            path = Path(folder, name)
            if path.is_file():
                files[str(path.relative_to(code))] = path.read_bytes()
        if sum(map(len, files.values())) > _MOST_CODE:
            message = f"--code {code}: more than {_MOST_CODE >> 20} MiB of code"
            raise UsageError(message)
    if revision.entry not in files:
        message = f"--code {code}: there is no {revision.entry} in it, which is the entry of workflow {revision.workflow!r}"
        raise UsageError(message)
    return files, revision.entry
