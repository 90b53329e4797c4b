"""What waits for a later try, for the one screen that shows what needs attention."""

from typing import Any

from reconciler.cli.context import CONTEXT
from reconciler.render import one_line, plural
from reconciler.state import Store, cards, retries

_CARD = "task-not-synced"


def waiting(store: Store | None) -> list[dict[str, Any]]:
    """Return platforms that are left alone, and workflows that could not be deployed, with when they are tried again."""
    if store is None:
        return []
    now = CONTEXT.clock.now()
    found: list[dict[str, Any]] = [
        {
            "object": f"adapter/{name}",
            "project": "",
            "environment": "",
            "reason": "rate-limited",
            "message": pause.message,
            "failures": 0,
            "next_at": f"{pause.until:%Y-%m-%dT%H:%M:%SZ}",
        }
        for name, pause in sorted(retries.pauses(store).items())
        if now < pause.until
    ]
    for (place, about), tried in sorted(retries.known(store).items(), key=lambda item: (item[0][0].project, item[0][0].environment, item[0][1])):
        if about.startswith("workflow/"):
            found.append(
                {
                    "object": about,
                    "project": place.project,
                    "environment": place.environment,
                    "reason": tried.reason if tried.next_at else "stalled",
                    "message": tried.message,
                    "failures": tried.failures,
                    "next_at": None if tried.next_at is None else f"{tried.next_at:%Y-%m-%dT%H:%M:%SZ}",
                }
            )
    return found + [{**one, "reason": _CARD} for one in cards.troubles(store)]


def lines(found: list[dict[str, Any]]) -> list[str]:
    """Return one line for each, and one for all cards: no run is touched by those."""
    told = []
    for item in found:
        if item["reason"] == _CARD:
            continue
        when = f"next try at {item['next_at']}" if item["next_at"] else "not tried again until it changes"
        told.append(f"  {CONTEXT.paint('!', 'red')} {item['object']}  {item['reason']}  {when}  {one_line(item['message'])}")
    waiting = [item for item in found if item["reason"] == _CARD]
    if waiting:
        first = waiting[0]
        what = f"{plural(len(waiting), 'card')} in TaskYou {'is' if len(waiting) == 1 else 'are'} not as {'it' if len(waiting) == 1 else 'they'} should be"
        told.append(CONTEXT.paint(f"{what}: {first['object']}  {one_line(first['message'])}", "dim"))
    return told
