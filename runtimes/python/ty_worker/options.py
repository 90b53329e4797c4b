"""Calls made of the arguments that the code gives, once these are checked. Wrong ones are TypeErrors that name them."""

from __future__ import annotations

from ty_worker.calls import check_name
from ty_worker.durations import instant as instant_ms
from ty_worker.durations import milliseconds, shown
from ty_worker.functions import check_function, required_parameters
from ty_worker.policy import retry_policy
from ty_worker.steps import StepCall

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from ty_worker.children import ChildCall
    from ty_worker.policy import Settings
    from ty_worker.signals import SendCall, SignalCall
    from ty_worker.sleeps import SleepCall

_STEP_OPTIONS = ("retry", "timeout", "heartbeat_timeout", "on_in_doubt", "compensate")
_LONGEST_RUN = 500


def step(settings: Settings, name: object, fn: object, given: Mapping[str, Any], what: str) -> StepCall:
    """Return a step; `given` are its options."""
    text = check_name(name, what)
    function = check_function(fn, f"{what}: fn")
    call = StepCall(text, function, settings.step_retry, settings.timeout_ms, wants_context=required_parameters(function) > 0)
    if given:
        _set_options(call, given, what)
    return call


def _set_options(call: StepCall, given: Mapping[str, Any], what: str) -> None:
    for option in given:
        if option not in _STEP_OPTIONS:
            message = f"{what}: option {option} is unknown; known are {', '.join(_STEP_OPTIONS)}"
            raise TypeError(message)
    if given.get("retry") is not None:
        call.policy = retry_policy(given["retry"], call.policy, f"{what}: retry")
    if given.get("timeout") is not None:
        call.timeout_ms = milliseconds(given["timeout"], f"{what}: timeout")
    if given.get("heartbeat_timeout") is not None:
        call.heartbeat_ms = milliseconds(given["heartbeat_timeout"], f"{what}: heartbeat_timeout")
    if given.get("on_in_doubt") is not None:
        call.on_in_doubt = one_of(given["on_in_doubt"], ("retry", "fail", "ask"), f"{what}: on_in_doubt")
    if given.get("compensate") is not None:
        call.compensate = check_function(given["compensate"], f"{what}: compensate")


def one_of(value: object, words: tuple[str, ...], what: str) -> str:
    """Return a word that must be one of several."""
    if isinstance(value, str) and value in words:
        return value
    *most, last = [f'"{word}"' for word in words]
    message = f"{what} must be {', '.join(most)} or {last}, got {shown(value)}"
    raise TypeError(message)


def optional_name(name: object, what: str, default: str) -> str:
    """Return the name of a call that may have none."""
    return default if name is None else check_name(name, what)


def sleep_until(name: object, instant: object) -> SleepCall:
    """Return a sleep until an instant."""
    from ty_worker.sleeps import SleepCall

    what = "ctx.sleep_until(name, instant)"
    return SleepCall(check_name(name, what), 0, instant_ms(instant, f"{what}: instant"))


def signal(signal: object, timeout: object, name: object, approval: object) -> SignalCall:
    """Return a wait for a signal, which a person is asked for if `approval` says so."""
    from ty_worker.signals import SignalCall

    what = "ctx.wait_for_signal(signal)"
    text = check_name(signal, what, "signal")
    return SignalCall(optional_name(name, what, text), text, _timeout(timeout, what), _approval(approval, what))


def send(settings: Settings, run: object, signal: object, data: object, name: object) -> SendCall:
    """Return a signal for another run. Raises NotSerializableError or LimitError for its data."""
    from ty_worker.signals import SendCall

    what = "ctx.send_signal(run, signal)"
    text = check_name(signal, what, "signal")
    if not isinstance(run, str) or not 1 <= len(run.encode(errors="replace")) <= _LONGEST_RUN:
        message = f"{what}: run must be text of 1 to {_LONGEST_RUN} bytes, got {shown(run)}"
        raise TypeError(message)
    return SendCall(optional_name(name, what, text), run, text, _value(settings, data, "the data of signal", text))


def child(settings: Settings, workflow: object, value: object, name: object, timeout: object, on_cancel: object) -> ChildCall:
    """Return a child run. Raises NotSerializableError or LimitError for its input."""
    from ty_worker.children import ChildCall

    what = "ctx.run_workflow(workflow, input)"
    text = check_name(workflow, what, "workflow")
    named = optional_name(name, what, text)
    policy = one_of(on_cancel, ("cancel", "finish"), f"{what}: on_cancel")
    return ChildCall(named, text, _value(settings, value, "the input of child", named), _timeout(timeout, what), policy)


def _timeout(timeout: object, what: str) -> int | None:
    return None if timeout is None else milliseconds(timeout, f"{what}: timeout")


def _approval(approval: object, what: str) -> str:
    if approval is None:
        return ""
    from ty_worker import approvals

    return approvals.approval(approval, f"{what}: approval")


def _value(settings: Settings, value: object, what: str, name: str) -> Any:
    from ty_worker.durations import quoted
    from ty_worker.lines import encode_json
    from ty_worker.values import limited, plain

    copy = plain(value)
    limited(encode_json(copy), settings.value, f"{what} {quoted(name)}")
    return copy
