"""The command about the state as a whole: `state check|backup|restore|rebuild`."""

from pathlib import Path
from typing import Annotated, Any

from reconciler import upkeep
from reconciler.cli.context import CONTEXT, wants_json
from reconciler.cli.declare import JsonOption, OutputOption
from reconciler.cli.options import Argument, option
from reconciler.errors import UsageError
from reconciler.render import plain, plural

_FORMAT = 1
_VERBS = ("check", "backup", "restore", "rebuild")


def state(
    verb: Annotated[str, Argument("check|backup|restore|rebuild", "What to do with the database, journals and tombstones of this data folder.")],
    file: Annotated[str | None, Argument("[FILE]", "The backup to write or to restore.")] = None,
    move: Annotated[bool, option("--move", help="backup: close this place, since its runs go on elsewhere.")] = False,
    here: Annotated[bool, option("--here", help="restore: go on here with a data folder that was closed, or copied from another machine.")] = False,
    output: OutputOption = "text",
    as_json: JsonOption = False,
) -> int:
    """Check the state, back it up beside a living loop, restore it, or rebuild the database from run folders and tombstones."""
    as_json = wants_json(output, as_json)
    _check_words(verb, file, move=move, here=here)
    if verb == "check":
        return _check(as_json=as_json)
    if verb == "backup":
        return _backup(Path(file or ""), move=move, as_json=as_json)
    if verb == "restore":
        return _go_on_here(as_json=as_json) if here else _restore(Path(file or ""), as_json=as_json)
    return _rebuild(as_json=as_json)


def _check_words(verb: str, file: str | None, *, move: bool, here: bool) -> None:
    if verb not in _VERBS:
        message = f"state {verb}: choose one of {', '.join(_VERBS)}"
        raise UsageError(message)
    wants_file = verb == "backup" or (verb == "restore" and not here)
    if wants_file != (file is not None):
        message = f"state {verb}: name the file of the backup" if wants_file else f"state {verb} takes no file"
        raise UsageError(message)
    if (move and verb != "backup") or (here and verb != "restore"):
        message = f"state {verb} does not take {'--move' if move else '--here'}"
        raise UsageError(message)


def _show(verb: str, facts: dict[str, Any], *lines: str, as_json: bool) -> None:
    if as_json:
        CONTEXT.json({"format_version": _FORMAT, "verb": verb, **facts})
    else:
        CONTEXT.say(*(plain(line) for line in lines))


def _check(*, as_json: bool) -> int:
    found = upkeep.check(CONTEXT.service)
    if as_json:
        checks = [{"check": item.name, "ok": item.ok, "found": item.found, "advice": item.advice} for item in found.findings]
        _show("check", {"ok": found.ok, "checks": checks, "counts": found.counts}, as_json=True)
        return 0 if found.ok else 1
    width = max(len(item.name) for item in found.findings)
    for item in found.findings:
        CONTEXT.say(f"{CONTEXT.paint('ok  ', 'green') if item.ok else CONTEXT.paint('FAIL', 'red')}  {item.name.ljust(width)}  {plain(item.found)}")
        if not item.ok and item.advice:
            CONTEXT.say(f"      {' ' * width}  {item.advice}")
    statuses = found.counts.get("by_status", {})
    CONTEXT.say(", ".join(f"{number} {word}" for word, number in sorted(statuses.items())) or "no runs")
    return 0 if found.ok else 1


def _backup(file: Path, *, move: bool, as_json: bool) -> int:
    from reconciler.cli import VERSION

    made = upkeep.back_up(CONTEXT.service, file, VERSION, move=move)
    counts, size = made["counts"], file.expanduser().stat().st_size
    facts = {"file": str(file), "size": size, **{name: made[name] for name in ("made_at", "data_dir", "counts")}, "closed": move}
    unfinished = f"{counts['unfinished']} unfinished, with their journals"
    held = f"{plural(counts['runs'], 'run')} ({unfinished}), {plural(counts['revisions'], 'revision')}, {plural(counts['tombstones'], 'tombstone')}"
    lines = [f"wrote {file}: {max(1, size >> 10)} KiB, {held}; read back, and whole"]
    if move:
        lines.append(f"{CONTEXT.service.data_dir} is closed: nothing goes on here. `ty-openworkflow state restore {file}` carries on elsewhere")
    _show("backup", facts, *lines, as_json=as_json)
    return 0


def _restore(file: Path, *, as_json: bool) -> int:
    done = upkeep.put_back(CONTEXT.service, file)
    counts = done["counts"]
    lines = [f"restored {plural(counts['runs'], 'run')} of {done['made_at']}, {counts['unfinished']} of them unfinished"]
    if done["newer_journals"]:
        lines.append(f"{plural(done['newer_journals'], 'journal')} here told more than the backup: they count")
    if done["moved_aside"]:
        lines.append(f"what was here is in {done['moved_aside']}, and closed")
    if done["closed"]:
        lines.append(f"{done['closed']}, where the backup was made, is closed: nothing goes on there")
    elif done["elsewhere"]:
        lines.append(f"the backup was made on another machine, in {done['made_in']}: see to it that nothing goes on there")
    lines.append("the next pass takes in what the journals tell beyond the backup: `ty-openworkflow reconcile --once`")
    _show("restore", done, *lines, as_json=as_json)
    return 0


def _go_on_here(*, as_json: bool) -> int:
    upkeep.go_on_here(CONTEXT.service)
    _show("restore", {"here": str(CONTEXT.service.data_dir)}, f"{CONTEXT.service.data_dir} goes on here", as_json=as_json)
    return 0


def _rebuild(*, as_json: bool) -> int:
    done, moved = upkeep.build_again(CONTEXT.service)
    facts = {
        "runs": done.runs,
        "by_status": done.statuses,
        "from_tombstones": done.tombstones,
        "conflicts": done.conflicts,
        "damaged_tombstones": done.damaged,
        "moved_aside": None if moved is None else str(moved),
    }
    told = ", ".join(f"{number} {word}" for word, number in sorted(done.statuses.items()))
    lines = [f"{plural(done.runs, 'run')} came back{f' ({told})' if told else ''}, {done.tombstones} of them from tombstones"]
    lines += [f"left out: {conflict}, since another run has its name" for conflict in done.conflicts]
    if done.damaged:
        lines.append(f"{plural(done.damaged, 'tombstone')} cannot be read: what is not known is held until a person answers")
    if moved is not None:
        lines.append(f"the old database is {moved}; requests, events and the memory of schedules are only there")
    _show("rebuild", facts, *lines, as_json=as_json)
    return 0
