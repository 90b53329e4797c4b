"""Errors: those we raise, how any error is recorded, and how a recorded one is raised again."""

from __future__ import annotations

import builtins

from ty_worker.lines import encode_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Any

_DEEPEST = 5
_LONGEST_TEXT = 16_384
_LARGEST_FIELDS = 65_536
_OWN = ("name", "message", "stack", "fields", "cause", "args")
# Raised inside a coroutine or a generator these would mean something else, and a group cannot be made without its members.
_UNFIT = ("StopIteration", "StopAsyncIteration", "ExceptionGroup")


class NonRetryableError(Exception):
    """Raised by workflow code: neither the step nor the body is tried again."""

    non_retryable = True


class NotSerializableError(NonRetryableError):
    """A value cannot be recorded as JSON."""


class LimitError(NonRetryableError):
    """A limit of the workflow was reached."""


class NonDeterminismError(NonRetryableError):
    """The code asked for other calls than the journal holds."""


class LoadError(NonRetryableError):
    """The code cannot be loaded, or holds no workflow function."""


class CallError(NonRetryableError):
    """A call of `ctx` from where none may be made."""


class InDoubtError(NonRetryableError):
    """A step that may have had its effect, and is not tried again for that."""


class CrashError(NonRetryableError):
    """A step whose worker died during its last try."""


class ChildError(Exception):
    """The failure of a child run."""


class StepError(Exception):
    """The failure of a step, rebuilt from its record: `name`, `message`, `fields` and the recorded `stack`."""

    name: str
    message: str
    stack: str
    fields: dict[str, Any]

    def __init__(self, message: str = "") -> None:
        self.args = (message,)

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


_FINAL: dict[str, type[Exception]] = {
    kind.__name__: kind
    for kind in (NonRetryableError, NotSerializableError, LimitError, LoadError, NonDeterminismError, InDoubtError, CrashError, CallError)
}
_classes: dict[str, type[StepError]] = {}


def is_final(record: Mapping[str, Any]) -> bool:
    """Say whether a recorded error rules out another try."""
    return record["name"] in _FINAL or record.get("fields", {}).get("non_retryable") is True


def error_name(error: BaseException) -> str:
    """Return the name under which an error is recorded."""
    return error.name if isinstance(error, StepError) else type(error).__name__


def record_error(error: BaseException, depth: int = 1) -> dict[str, Any]:
    """Return what is recorded of an error: `{name, message, stack, fields, cause}`, absent where empty."""
    name, message = error_name(error), _text(error)
    record: dict[str, Any] = {
        "name": name,
        "message": message,
        "stack": error.stack if isinstance(error, StepError) else _stack(error, name, message),
    }
    if fields := _fields(error):
        record["fields"] = fields
    if error.__cause__ is not None and depth < _DEEPEST:
        record["cause"] = record_error(error.__cause__, depth + 1)
    return record


def rebuild_error(record: Mapping[str, Any]) -> StepError:
    """Return the error that user code gets for a recorded one, live and in replay alike."""
    name, message = str(record.get("name", "Error")), str(record.get("message", ""))
    try:
        error = _class_of(name)(message)
    except TypeError:
        error = StepError(message)
    error.name, error.message, error.stack = name, message, str(record.get("stack", ""))
    error.fields = dict(record.get("fields", {}))
    for field, value in error.fields.items():
        if field not in _OWN and not field.startswith("_"):
            try:
                setattr(error, field, value)
            except (AttributeError, TypeError):
                continue
    if cause := record.get("cause"):
        error.__cause__ = rebuild_error(cause)
    return error


def _class_of(name: str) -> type[StepError]:
    known = _classes.get(name)
    if known is None:
        base = _FINAL.get(name) or getattr(builtins, name, None)
        known = StepError
        if isinstance(base, type) and issubclass(base, Exception) and base is not Exception and name not in _UNFIT:
            known = type(name, (StepError, base), {"__doc__": base.__doc__})
        _classes[name] = known
    return known


def _text(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception as failure:  # noqa: BLE001 - it is the user's __str__
        text = f"(its text cannot be had: {type(failure).__name__})"
    return _clean(text)


def _clean(text: str) -> str:
    if len(text) > _LONGEST_TEXT:
        text = text[:_LONGEST_TEXT] + "..."
    return text if text.isascii() else text.encode(errors="backslashreplace").decode()


def _stack(error: BaseException, name: str, message: str) -> str:
    import traceback

    frames = [frame for frame in traceback.extract_tb(_from_user_code(error.__traceback__)) if not _is_ours(frame.filename)]
    where = "".join(traceback.StackSummary.from_list(frames).format())
    head = f"Traceback (most recent call last):\n{where}" if where else ""
    return _clean(f"{head}{name}: {message}" if message else f"{head}{name}")


def _from_user_code(frames: TracebackType | None) -> TracebackType | None:
    while frames is not None and _is_ours(frames.tb_frame.f_code.co_filename):
        frames = frames.tb_next
    return frames


def _is_ours(path: str) -> bool:
    return path.rpartition("/")[0] == _FOLDER


def _fields(error: BaseException) -> dict[str, Any]:
    from ty_worker.values import plain  # it needs our classes

    found: dict[str, object] = dict(error.fields) if isinstance(error, StepError) else {}
    if isinstance(error, OSError):
        found.update({name: getattr(error, name) for name in ("errno", "strerror", "filename") if getattr(error, name, None) is not None})
    found.update({name: value for name, value in vars(error).items() if name not in _OWN and not name.startswith("_")})
    if getattr(error, "non_retryable", False) is True and type(error).__name__ not in _FINAL:
        found["non_retryable"] = True
    fields = {}
    for name, value in found.items():
        try:
            fields[_clean(name)] = plain(value)
        except NotSerializableError:
            continue
    return fields if len(encode_json(fields)) <= _LARGEST_FIELDS else {}


_FOLDER = __file__.rpartition("/")[0]
