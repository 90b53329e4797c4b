"""What the fault suites have counted in this session, for the summary at its end."""

_counts: dict[str, int] = {}


def note(what: str, count: int) -> None:
    """Add to the count of `what`."""
    _counts[what] = _counts.get(what, 0) + count


def lines() -> list[str]:
    """Return one line for each thing that was counted."""
    width = max(map(len, _counts), default=0)
    return [f"{what:{width}} {count:>8,}" for what, count in sorted(_counts.items())]
