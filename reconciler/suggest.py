"""Words for people: what they may have meant, and what and where something is."""

from collections.abc import Iterable, Sequence


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return the hint for a misspelt word: the nearest of what is known, or all of it where that is short."""
    import difflib

    names = sorted(known)
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.6) or [name for name in names if name.lower() == word.lower()]
    if near:
        return f"did you mean {near[0]!r}?"
    return f"known here: {', '.join(names)}" if 0 < len(names) <= 16 else ""


def shown(value: object) -> str:
    """Write a value for a message: short, on one line, and without control characters."""
    text = value if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else "null" if value is None else repr(value)
    text = text if len(text) <= 60 else text[:57] + "..."
    return repr(text) if isinstance(value, str) else text


def pointer_of(path: Sequence[object]) -> str:
    """Write a path of keys and indexes as a JSON pointer."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)
