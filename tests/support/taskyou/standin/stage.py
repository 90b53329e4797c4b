"""What only a test may ask for: the daemon's sweeps, projects, a person who opens a card."""

from __future__ import annotations

from .daemon import launch, start, sweep

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .call import Call


def play(call: Call, argv: list[str]) -> None:
    """Carry out `@name arguments`."""
    store = call.store
    match argv:
        case ["@start"]:
            start(store)
        case ["@sweep", limit]:
            sweep(store, float(limit))
        case ["@project", name, folder, worktrees, aliases]:
            from .projects import add

            add(store, name, folder, worktrees=worktrees == "yes", aliases=aliases)
        case ["@open", number]:
            task = store.task(int(number))
            project = store.database.one("SELECT use_worktrees FROM projects WHERE name = :name", name=task["project"])
            if task["status"] == "blocked" and project and not project["use_worktrees"]:
                launch(store, task)
        case _:
            raise AssertionError(argv)
