"""What a run that waits asks of a person, and what to type."""

from collections.abc import Mapping

from reconciler.history import IN_DOUBT, Call, History

_APPROVES = """'{"approved": true}'"""


def question(history: History, run: str, tasks: Mapping[str, int]) -> tuple[str, str] | None:
    """Return reason and message of a run that waits for a person: for a decision, an approval or a signal.

    `tasks` are the numbers of the cards of its approvals in TaskYou, by the keys of the waits.
    """
    doubtful = next((call for call in history.calls.values() if call.status == "in-doubt"), None)
    if doubtful is not None:
        choices = ", ".join(
            f"`{_command(run, doubtful.key + IN_DOUBT, answer)}`" for answer in ("'\"retry\"'", "'\"fail\"'", "'{\"result\": VALUE}'")
        )
        return "in-doubt", f"step {doubtful.key!r} may have run: look what became of it, then one of {choices}"
    if history.status != "waiting":
        return None
    approvals = history.open_approvals()
    if approvals:
        return "approval", _asked(approvals, run, tasks)
    signal = next((_signal(call) for call in history.calls.values() if call.kind == "signal" and call.open), None)
    if signal is None:
        return None
    return "parked" if history.let_go == "parked" else "", f"waits for signal {signal!r}: `{_command(run, signal, 'JSON')}`"


def _asked(approvals: list[Call], run: str, tasks: Mapping[str, int]) -> str:
    first, more = approvals[0], len(approvals) - 1
    others = f" (and {more} more)" if more else ""
    task = f"mark task #{tasks[first.key]} as done in TaskYou, or " if first.key in tasks else ""
    return f"waits for approval: {first.request['approval']['title']}{others}: {task}`{_command(run, _signal(first), _APPROVES)}`"


def _signal(call: Call) -> str:
    return str(call.request.get("signal", call.name))


def _command(run: str, signal: str, data: str) -> str:
    from shlex import quote

    return f"ty-openworkflow signal {run} {quote(signal)} --data {data}"
