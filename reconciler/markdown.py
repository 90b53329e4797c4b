"""A plan as a comment on a pull request: short, everything of users in code spans, long parts folded."""

from collections.abc import Mapping, Sequence
from typing import Any

from reconciler.actions import Change, Notice, Plan
from reconciler.model import Desired, Problem
from reconciler.plan.approval import SHORT, digest_of_plan, held_objects
from reconciler.render import plain, plural

_MOST_ROWS = (100, 30, 8)
_MOST_CHARACTERS = 60_000  # GitHub takes 65,536
_OPEN_ROWS = 15
_LONGEST = 300


def plan_markdown(desired: Desired, plan: Plan, source: Mapping[str, Any]) -> list[str]:
    """Return a plan in the Markdown of GitHub and GitLab. The first line is a mark by which a comment is found again."""
    lines: list[str] = []
    for most in _MOST_ROWS:
        lines = _lines(desired, plan, source, most)
        if sum(len(line) + 1 for line in lines) <= _MOST_CHARACTERS:
            break
    return lines


def _lines(desired: Desired, plan: Plan, source: Mapping[str, Any], most: int) -> list[str]:
    place = f"{desired.place.project}/{desired.place.environment}"
    digest = digest_of_plan(desired.place, plan)[:SHORT]
    errors = [problem for problem in desired.problems if not problem.warning]
    lines = [f"<!-- ty-openworkflow plan {place} -->", f"### Plan for {code(place)}: {_summary(plan, errors)}", ""]
    lines += [f"{code(source['folder'])}{_commit(source)}, digest {code(digest)}", ""]
    lines += _table("Changes", ("", "object", "action", "why", "where"), [_change_row(change) for change in plan.changes], most)
    for title, notices in (("Rejected", plan.rejected), ("Held for a person", plan.held), ("Drift", plan.drift)):
        lines += _table(title, ("object", "reason", "what", "where"), [_notice_row(notice) for notice in notices], most)
    lines += _table("Invalid", ("where", "what"), [_problem_row(problem) for problem in errors], most)
    if held_objects(plan):
        command = f"ty-openworkflow reconcile --once --approve {digest} {source['folder']}"
        lines += [f"What is held from pruning goes with {code(command)}, as long as the plan is this one.", ""]
    lines.append(f"{plural(plan.unchanged, 'object')} unchanged.")
    return lines


def _summary(plan: Plan, errors: Sequence[Problem]) -> str:
    changes = len(plan.changes)
    parts = [plural(changes, "change") if changes else "no changes"]
    counts = (("rejected", plan.rejected), ("held", plan.held), ("drifted", plan.drift), ("invalid", errors))
    return ", ".join([*parts, *(f"{len(found)} {word}" for word, found in counts if found)])


def _commit(source: Mapping[str, Any]) -> str:
    if not source.get("commit"):
        return ""
    dirt = " with changes that are not committed" if source.get("dirty") else ""
    return f" at {code(f'''{source.get('branch') or 'detached'}@{source['commit'][:12]}''')}{dirt}"


def _table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]], most: int) -> list[str]:
    """Return a table under its title, folded where it is long; what is too much for a comment is only counted."""
    if not rows:
        return []
    table = [f"| {' | '.join(header)} |", f"|{' --- |' * len(header)}", *(f"| {' | '.join(row)} |" for row in rows[:most])]
    if len(rows) > most:
        table += ["", f"… and {len(rows) - most} more, which `plan` shows."]
    if len(rows) <= _OPEN_ROWS:
        return [f"**{title}**", "", *table, ""]
    return [f"<details><summary><b>{title}</b> ({len(rows)})</summary>", "", *table, "", "</details>", ""]


def _change_row(change: Change) -> list[str]:
    return [
        code(change.symbol),
        code(f"{change.kind}/{change.name}"),
        change.action,
        code(change.reason),
        _where(change.source.file, change.source.line),
    ]


def _notice_row(notice: Notice) -> list[str]:
    return [code(notice.object), code(notice.reason), code(notice.message), _where(notice.source.file, notice.source.line)]


def _problem_row(problem: Problem) -> list[str]:
    return [_where(problem.file, problem.line), code(f"{problem.pointer}: {problem.message}" if problem.pointer else problem.message)]


def _where(file: str, line: int) -> str:
    return code(f"{file}:{line}" if line else file)


def code(text: str) -> str:
    """Return text as a code span that stays one, also in a table: nothing in it is a link, a mention or markup."""
    flat = " ".join(plain(text).split()).replace("`", "'").replace("|", "\\|")
    flat = flat if len(flat) <= _LONGEST else f"{flat[: _LONGEST - 1]}…".replace("\\…", "…")
    return f"`{flat}`" if flat else ""
