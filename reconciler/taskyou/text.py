r"""What may stand in a card.

TaskYou takes texts as arguments of a process, turns a backslash before `n` in bodies into a line break, and shows all of it in terminals. So what
we generate is made fit (`title_of`, `body_of`), and what a person wrote is sent as it is or not at all (`wrong_with`).
"""

import re

MOST_TITLE = 500
MOST_BODY = 100 << 10
_SHOWN = 300
_INSTEAD = "\N{REPLACEMENT CHARACTER}"
# Patterns are compiled when they are first needed: every start of the program would pay for that.
_SURROGATE = "[\ud800-\udfff]"
# Control characters but for tab and line feed, and what turns the direction of writing and so hides what follows.
_UNSAFE = "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
_LINE_BREAK = r"\\(?=n)"


def wrong_with(text: str) -> str:
    """Say why a text that a person wrote cannot be sent, or return nothing."""
    if "\x00" in text:
        return "has a NUL character, which no program can be given"
    if re.search(_SURROGATE, text):
        return "has half of a surrogate pair, which is no character"
    return ""


def title_of(text: str, *, otherwise: str) -> str:
    """Return a title that we generate: one line of at most 500 characters, or `otherwise` where nothing is left of it."""
    line = " ".join(re.sub(_UNSAFE, _INSTEAD, " ".join(text.split())).split())
    if not line:
        return otherwise
    return line if len(line) <= MOST_TITLE else line[: MOST_TITLE - 1] + "…"


def body_of(text: str) -> str:
    r"""Return a body that we generate. It is read back as it is written: nothing at its ends to trim, no backslash before `n`, below 100 KiB."""
    text = re.sub(_UNSAFE, _INSTEAD, text.replace("\r\n", "\n"))
    return _cut(re.sub(_LINE_BREAK, "\N{REVERSE SOLIDUS OPERATOR}", text).strip())


def shown(text: str, most: int = _SHOWN) -> str:
    """Return what another program says, fit for a line of ours."""
    line = re.sub(_UNSAFE, _INSTEAD, " ".join(text.split()))
    return line if len(line) <= most else line[: most - 1] + "…"


def _cut(text: str) -> str:
    """Keep as much of the beginning as there is room for, and say in the last line how much is missing."""
    data = text.encode()
    if len(data) < MOST_BODY:
        return text
    room = MOST_BODY - 80
    kept = data[:room].decode(errors="ignore").rstrip()
    return f"{kept}\n\n({len(data) - len(kept.encode())} of {len(data)} bytes are left out here)"
