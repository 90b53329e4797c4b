"""Errors as records, and what user code gets for them."""

import builtins
import subprocess
from typing import Any

import pytest
from ty_worker.errors import NonRetryableError, StepError, is_final, rebuild_error, record_error


class PaymentError(Exception):
    """An error with fields."""

    def __init__(self, message: str, **fields: Any) -> None:
        super().__init__(message)
        self.__dict__.update(fields)


class DeclinedError(NonRetryableError):
    """Not worth another try."""


def _raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:
        return caught


def _again(error: BaseException) -> StepError:
    return rebuild_error(record_error(_raised(error)))


_BUILT_IN = [
    kind for kind in vars(builtins).values()
    if isinstance(kind, type) and issubclass(kind, Exception) and kind.__name__ not in ("StopIteration", "StopAsyncIteration", "ExceptionGroup", "Exception")
]  # fmt: skip


@pytest.mark.parametrize("kind", _BUILT_IN)
def test_a_built_in_exception_is_raised_as_its_class_and_as_a_step_error(kind: type[Exception]) -> None:
    again = rebuild_error({"name": kind.__name__, "message": "went wrong", "stack": "where"})

    with pytest.raises(kind) as caught:
        raise again
    assert isinstance(caught.value, StepError)
    assert str(caught.value) == "went wrong"
    assert again.name == kind.__name__ or kind.__name__ in ("AttributeError", "ImportError", "ModuleNotFoundError", "NameError", "UnboundLocalError")


@pytest.mark.parametrize("name", ["StopIteration", "ExceptionGroup", "Exception", "SystemExit", "PaymentError", "print", "with spaces", ""])
def test_any_other_name_is_a_plain_step_error(name: str) -> None:
    again = rebuild_error({"name": name, "message": "m"})

    assert type(again) is StepError
    assert (again.name, again.message, again.stack) == (name, "m", "")


def test_an_error_keeps_its_fields_that_are_json() -> None:
    again = _again(PaymentError("no", code=7, raw=b"x", _secret=1, args=("no",)))

    assert again.fields == {"code": 7}
    assert again.code == 7  # type: ignore[attr-defined]


def test_an_error_of_the_system_keeps_its_number() -> None:
    again = _again(FileNotFoundError(2, "No such file", "/x"))

    assert isinstance(again, FileNotFoundError)
    assert (again.errno, again.filename) == (2, "/x")
    assert str(again) == "[Errno 2] No such file: '/x'"


def test_a_failed_command_keeps_its_exit_status() -> None:
    again = _again(subprocess.CalledProcessError(3, ["false"]))

    assert again.fields["returncode"] == 3


def test_causes_are_kept_five_deep() -> None:
    error: BaseException = ValueError("0")
    for depth in range(1, 8):
        outer = ValueError(str(depth))
        outer.__cause__ = error
        error = outer

    texts, again = [], rebuild_error(record_error(error))
    while again is not None:
        texts.append(str(again))
        again = again.__cause__  # type: ignore[assignment]
    assert texts == ["7", "6", "5", "4", "3"]


def test_what_was_rebuilt_is_recorded_as_it_was_the_first_time() -> None:
    record = record_error(_raised(PaymentError("no", code=7)))

    assert record_error(_raised(rebuild_error(record))) == record
    assert "test_errors.py" in record["stack"]


def test_errors_that_rule_out_another_try() -> None:
    assert is_final(record_error(NonRetryableError("x")))
    assert is_final(record_error(DeclinedError("x")))
    assert is_final(record_error(PaymentError("x", non_retryable=True)))
    assert is_final(record_error(_again(DeclinedError("x"))))
    assert not is_final(record_error(PaymentError("x", non_retryable=False)))
    assert not is_final(record_error(ValueError("x")))


def test_an_error_that_is_built_badly_is_recorded_all_the_same() -> None:
    class BrokenError(Exception):
        def __str__(self) -> str:
            message = "no"
            raise RuntimeError(message)

    assert record_error(BrokenError())["message"] == "(its text cannot be had: RuntimeError)"
    assert record_error(ValueError("\ud800" + "x" * 100_000))["message"].startswith("\\ud800x")
    assert len(record_error(ValueError("x" * 100_000))["message"]) < 20_000
