"""What a check found wrong with a value."""

from typing import NamedTuple


class Finding(NamedTuple):
    """Something wrong with a value, at a JSON pointer; `at_key` when it is the key, or what is missing under it."""

    pointer: str
    message: str
    hint: str = ""
    at_key: bool = False
    code: str = "invalid"
