"""What a wait says that a person shall answer."""

from __future__ import annotations

from ty_worker.durations import shown
from ty_worker.lines import encode_text

_MEMBERS = ("title", "description")
_LONGEST_TITLE, _LONGEST_DESCRIPTION = 200, 4000
_LINE_ENDS = frozenset("\u2028\u2029")
_IN_TEXT = frozenset("\t\n\r")


def approval(given: object, what: str) -> str:
    """Return what a request records of an approval, as JSON text. Raises TypeError that begins with `what`."""
    if not isinstance(given, dict):
        message = f"{what} must be a dictionary, got {shown(given)}"
        raise TypeError(message)
    for member in given:
        if member not in _MEMBERS:
            message = f"{what}.{member} is unknown; known are {', '.join(_MEMBERS)}"
            raise TypeError(message)
    record = f'"title":{_title(given.get("title"), f"{what}.title")}'
    description = given.get("description")
    if description is not None:
        record += f',"description":{_description(description, f"{what}.description")}'
    return f"{{{record}}}"


def _title(title: object, what: str) -> str:
    if isinstance(title, str) and 0 < len(title) <= _LONGEST_TITLE and title.strip() and _is_text(title) and _LINE_ENDS.isdisjoint(title):
        return encode_text(str.__str__(title))
    message = f"{what} must be one line of 1 to {_LONGEST_TITLE} characters, got {shown(title)}"
    raise TypeError(message)


def _description(description: object, what: str) -> str:
    if isinstance(description, str) and len(description) <= _LONGEST_DESCRIPTION and _is_text(description, _IN_TEXT):
        return encode_text(str.__str__(description))
    message = f"{what} must be text of at most {_LONGEST_DESCRIPTION} characters, got {shown(description)}"
    raise TypeError(message)


def _is_text(text: str, allowed: frozenset[str] = frozenset()) -> bool:
    """Say whether a text has no control characters but those, and no half of a character."""
    return not any(letter < " " or "\x7f" <= letter <= "\x9f" or "\ud800" <= letter <= "\udfff" for letter in set(text) - allowed)
