"""The errors that a person is meant to read."""

from datetime import timedelta


class TyOpenworkflowError(Exception):
    """Something went wrong that has a name; `exit_code` is what the command line ends with."""

    exit_code = 1


class RejectedError(TyOpenworkflowError):
    """The request will not work until something about it changes."""


class UnavailableError(TyOpenworkflowError):
    """The same request may work later; a platform that says when (`Retry-After`) is left alone until then."""

    def __init__(self, *args: object, retry_after: timedelta | None = None) -> None:
        """`retry_after` is how long the platform wants to be left alone."""
        super().__init__(*args)
        self.retry_after = retry_after


class InvalidError(TyOpenworkflowError):
    """Manifests or settings are invalid."""

    exit_code = 3


class UnreadableError(InvalidError):
    """A folder of manifests cannot be read at all."""


class StalePlanError(TyOpenworkflowError):
    """What a person approved is not what would be done now."""

    exit_code = 6


class BusyError(TyOpenworkflowError):
    """Another process holds the lock that is needed."""

    exit_code = 4


class UsageError(TyOpenworkflowError):
    """The command was called in a way that it does not know."""

    exit_code = 64


class HeldError(TyOpenworkflowError):
    """Nothing is done until a person has said what is meant."""

    exit_code = 6


class DamagedError(TyOpenworkflowError):
    """A journal holds something that no crash can leave behind."""


class DamagedStateError(DamagedError):
    """The database holds something that the program did not write."""
