"""Commands that ask something of one run: cancel, signal, rerun, retry, replay."""

import json
import sys
from pathlib import Path
from typing import Annotated

from reconciler import asking, manifests
from reconciler.asking import Again
from reconciler.cli.context import CONTEXT, wants_json
from reconciler.cli.declare import JsonOption, OutputOption, TimeoutOption, duration_option
from reconciler.cli.look import RunArgument, ended, find_run, view_of
from reconciler.cli.options import Argument, option
from reconciler.cli.outcome import LiveLines, failures
from reconciler.cli.write import follow_on
from reconciler.compute import Verdict
from reconciler.digest import Json
from reconciler.errors import RejectedError, UsageError
from reconciler.model import TERMINAL, Status
from reconciler.passed import Passed
from reconciler.render import one_line, plain
from reconciler.views import FORMAT

SameRevisionOption = Annotated[bool, option("--same-revision", help="On the code that it ran with, not on the present one.")]
NoFollowOption = Annotated[bool, option("--no-follow", help="Leave no process behind that carries the run on while no loop lives.")]
WaitOption = Annotated[bool, option("--wait", help="Wait for the end; exit 5 if it failed.")]


def cancel(
    run: RunArgument,
    reason: Annotated[str, option("--reason", "--why", help="Why; kept with the run.")] = "canceled by command",
    wait: Annotated[bool, option("--wait", help="Wait until it has ended.")] = False,
    timeout: TimeoutOption = None,
) -> int:
    """Cancel a run: its step in flight may end within the grace, then what it did is undone, then its worker ends."""
    patience = duration_option("--timeout", timeout)
    row = find_run(run)
    name = row["name"]
    if row["completed_at"] is not None:
        if row["status"] == Status.CANCELED.value:
            CONTEXT.say(f"run/{name} is canceled already")
            return 0
        message = f"run {name!r} has ended already ({row['status']}): there is nothing to cancel"
        raise RejectedError(message)
    asking.cancel(CONTEXT.service, row, reason)
    passed = _pass("cancel", name)
    if wait:
        passed.wanted = frozenset({row["uid"]})
        CONTEXT.service.follow(passed, passed.wanted, "cancel --wait", parked=False, timeout=patience, seen=LiveLines(passed, quiet=False).seen)
    view = view_of(find_run(run))
    CONTEXT.say(f"run/{name} is {'being canceled' if view['status'] == Status.CANCELING.value else view['status']}")
    return 1 if passed.failed else 0 if passed.in_time else 5


def _pass(who: str, run: str) -> Passed:
    """Run a pass over what is known: a request takes effect at once. The command answers for its own run only."""
    passed = CONTEXT.service.reconcile([], who, lambda *_: None)
    passed.about = f"run/{run}"
    failures(passed)
    return passed


def signal(
    run: RunArgument,
    name: Annotated[str, Argument("NAME", "Name of the signal, as the code waits for it.")],
    data: Annotated[str | None, option("-d", "--data", help="Data as JSON; default: null.")] = None,
    data_file: Annotated[str | None, option("--data-file", help="File with the data as JSON; - reads standard input.")] = None,
    number: Annotated[str | None, option("--id", help="Sent once only, however often the command is given with this id.")] = None,
) -> int:
    """Send a signal to a run; it is kept until the code waits for it."""
    value = _json(data, data_file)
    row = find_run(run)
    status = view_of(row)["status"]
    if status in TERMINAL:
        message = f"run {row['name']!r} has ended ({status}): no signal reaches it"
        raise RejectedError(message)
    if not asking.signal(CONTEXT.service, row, name, value, number):
        CONTEXT.say(f"signal {plain(name)}{f' with id {plain(number)}' if number else ''} was sent to run/{row['name']} before")
        return 0
    passed = _pass("signal", row["name"])
    delivered = row["uid"] not in passed.active or asking.was_delivered(CONTEXT.service, row)
    where = "is in the inbox of" if delivered else "is kept until there is an inbox of"
    CONTEXT.say(f"signal {plain(name)} {where} run/{row['name']}")
    return 1 if passed.failed else 0


def _json(text: str | None, file: str | None) -> Json:
    if text is not None and file is not None:
        message = "give the data with --data or with --data-file, not with both"
        raise UsageError(message)
    if text is None and file is None:
        return None
    try:
        data = (text or "").encode(errors="surrogateescape") if file is None else _bytes(file)
        return manifests.parse_input(".json", data)
    except manifests.RefusedError as error:
        hint = "; a text needs its own quotes: --data '\"text\"'" if file is None else ""
        message = f"{'--data' if file is None else f'--data-file {file}'}: {error}: {one_line(data.decode(errors='replace'), 60)}{hint}"
        raise UsageError(message) from error


def _bytes(file: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if file == "-" else Path(file).expanduser().read_bytes()
    except OSError as error:
        message = f"--data-file {file}: {error.strerror}"
        raise UsageError(message) from error


def rerun(
    run: RunArgument,
    failed: Annotated[bool, option("--failed", help="Keep what completed, with its idempotency keys, and run the rest.")] = False,
    step: Annotated[str | None, option("--from", help="Keep what was before this step, and run it and the rest with new keys.")] = None,
    same_revision: SameRevisionOption = False,
    wait: WaitOption = False,
    no_follow: NoFollowOption = False,
    timeout: TimeoutOption = None,
    output: OutputOption = "text",
    as_json: JsonOption = False,
) -> int:
    """Run something again, as its next incarnation; what is active is canceled first."""
    if failed and step is not None:
        message = "--failed and --from exclude each other: --failed keeps what completed, --from what was before a step"
        raise UsageError(message)
    return _again(run, Again(failed, step, same_revision), wait=wait, follow=not no_follow, timeout=timeout, as_json=wants_json(output, as_json))


def retry(
    run: RunArgument,
    same_revision: SameRevisionOption = False,
    wait: WaitOption = False,
    no_follow: NoFollowOption = False,
    timeout: TimeoutOption = None,
    output: OutputOption = "text",
    as_json: JsonOption = False,
) -> int:
    """Run what failed again, and keep what completed: the same as rerun --failed."""
    return _again(run, Again(True, None, same_revision), wait=wait, follow=not no_follow, timeout=timeout, as_json=wants_json(output, as_json))


def _again(run: str, how: Again, *, wait: bool, follow: bool, timeout: str | None, as_json: bool) -> int:
    patience = duration_option("--timeout", timeout)
    service = CONTEXT.service
    row = find_run(run)
    follows = asking.rerun(service, row, how)
    passed = _pass("rerun", row["name"])
    quiet = LiveLines(passed, quiet=True).seen
    if wait and follows.waits_for is not None:
        passed.wanted = frozenset({follows.waits_for})
        service.follow(passed, passed.wanted, "rerun --wait", parked=False, timeout=patience, seen=quiet)
        if passed.in_time:
            passed = _pass("rerun", row["name"])
    if wait and passed.in_time:
        passed.wanted = frozenset({follows.uid})
        service.follow(passed, passed.wanted, "rerun --wait", parked=False, timeout=patience, seen=quiet)
        return ended(run, passed, as_json=as_json)
    if as_json:
        CONTEXT.json(view_of(find_run(run)))
    else:
        first = "" if follows.waits_for is None else "is canceled first, then "
        CONTEXT.say(f"run/{row['name']} {first}starts as incarnation {follows.incarnation}")
        if follows.waits_for is not None:
            CONTEXT.tell("A pass starts it when the present one has ended: `ty-openworkflow reconcile --once --wait`")
    if passed.active:
        follow_on(wanted=follow)
    return 1 if passed.failed else 0 if passed.in_time else 5


def replay(
    run: RunArgument,
    code: Annotated[str | None, option("--code", help="File or folder with the code; default: what is deployed now.")] = None,
    output: OutputOption = "text",
    as_json: JsonOption = False,
) -> int:
    """Say whether a run's journal still fits the code: its body is replayed without any effect; exit 1 if it does not fit."""
    as_json = wants_json(output, as_json)
    row = find_run(run)
    verdict = asking.replay(CONTEXT.service, row, None if code is None else Path(code).expanduser())
    if as_json:
        facts = {name: getattr(verdict, name) for name in ("fits", "asked", "recorded", "difference", "next", "end")}
        CONTEXT.json({"format_version": FORMAT, "id": row["name"], **facts})
    else:
        CONTEXT.say(*_verdict_lines(row["name"], verdict, over=row["status"] in TERMINAL))
    return 0 if verdict.fits else 1


def _verdict_lines(name: str, verdict: Verdict, *, over: bool) -> list[str]:
    paint = CONTEXT.paint
    counted = f"{verdict.asked} of {verdict.recorded} recorded calls are asked for"
    if not verdict.fits:
        return [f"run/{name}: {paint('does not fit', 'red')}, {counted}", f"  {plain(verdict.difference or 'it ends otherwise')}"]
    lines = [f"run/{name}: {paint('fits', 'green')}, {counted}"]
    if verdict.next is not None and not over:
        lines.append(f"  it would go on with {verdict.next['kind']} {json.dumps(verdict.next['key'], ensure_ascii=False)}")
    return lines
