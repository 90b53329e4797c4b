"""Whether the state is whole: database, journals, tombstones, revisions, and how they fit together."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from reconciler import installation, tombstones
from reconciler.compute import Adapter, Finding, Inventory
from reconciler.digest import Json
from reconciler.errors import TyOpenworkflowError, UnavailableError
from reconciler.state import NAME, Store, named_errors, proofs, queries, read_store
from reconciler.values import made, mutable

_MOST = 5
REBUILD = "`ty-openworkflow state rebuild` takes in what run folders and tombstones prove"


@mutable
class Checkup:
    """What a check has found, and how much there is of everything."""

    findings: list[Finding] = made(default_factory=list)
    counts: dict[str, Json] = made(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Say whether nothing is wrong."""
        return all(finding.ok for finding in self.findings)


def examine(data_dir: Path, adapters: Mapping[str, Adapter]) -> Checkup:
    """Look at everything; nothing is written."""
    result = Checkup()
    stones = tombstones.read(data_dir)
    inventories = {}
    for name, adapter in adapters.items():
        try:
            inventories[name] = adapter.inventory()
        except UnavailableError as error:
            result.findings.append(Finding(f"{name} runs", ok=False, found=str(error)))
    result.findings += [*_place(data_dir), *_stones(stones)]
    result.counts = {"tombstones": len(stones.lines), "journals": sum(len(one.runs) for one in inventories.values())}
    try:
        store = read_store(data_dir)
        if store is None:
            found = f"{data_dir / NAME} is not there"
            nothing = not (stones.lines or any(one.runs for one in inventories.values()))
            result.findings.append(Finding("database", ok=nothing, found=found, advice=f"the next pass makes it anew; {REBUILD}"))
            return result
        with named_errors(store.path):
            result.findings += [*_database(store), *_rows(store, stones), *_fit(store, inventories, result)]
        store.close()
    except TyOpenworkflowError as error:
        result.findings.append(Finding("database", ok=False, found=str(error), advice=REBUILD))
    return result


def _place(data_dir: Path) -> Iterator[Finding]:
    closed = installation.fence_of(data_dir)
    advice = "`ty-openworkflow state restore --here` opens it, if its runs go on nowhere else"
    yield Finding("data folder", not closed, f"closed: {closed}" if closed else str(data_dir), advice)


def _stones(stones: tombstones.Tombstones) -> Iterator[Finding]:
    told = f"{len(stones.lines)} tombstones" + (f", and {stones.damaged} lines that cannot be read" if stones.damaged else "")
    yield Finding(
        "tombstones",
        not stones.damaged,
        told,
        "they count when the database is lost: keep a `ty-openworkflow state backup FILE`, which writes them anew",
    )


def _database(store: Store) -> Iterator[Finding]:
    wrong = queries.check(store)
    yield Finding("database", not wrong, f"{store.path}: {_some(wrong) if wrong else 'is whole'}", REBUILD)


def _rows(store: Store, stones: tombstones.Tombstones) -> Iterator[Finding]:
    dangling = proofs.dangling(store)
    yield Finding("rows", not dangling, _some(dangling) if dangling else "fit together", REBUILD)
    unburied = sorted(proofs.collected(store) - stones.lines.keys())
    told = f"{len(unburied)} collected runs have no tombstone: {_some(unburied)}" if unburied else "every collected run has its tombstone"
    yield Finding(
        "collected runs",
        not unburied,
        told,
        "the database alone knows that they have run: keep a `ty-openworkflow state backup FILE`, which writes tombstones",
    )


def _fit(store: Store, inventories: Mapping[str, Inventory], result: Checkup) -> Iterator[Finding]:
    """Compare what is remembered with what the platforms hold."""
    known = proofs.known_uids(store)
    unfinished, needed = proofs.claimed(store), proofs.needed_revisions(store)
    result.counts |= {"runs": len(known), "by_status": queries.count_by_status(store)}
    for name, there in inventories.items():
        damaged = [f"{told}" for uid, told in there.runs.items() if told is not None]
        yield Finding(
            f"{name} journals",
            not damaged,
            _some(damaged) if damaged else f"{len(there.runs)} can be read",
            "their runs stand still; nothing else is affected",
        )
        orphans = sorted(uid for uid, told in there.runs.items() if uid not in known)
        yield Finding(
            f"{name} run files", not orphans, f"{len(orphans)} belong to no known run: {_some(orphans)}" if orphans else "all belong to runs", REBUILD
        )
        gone = sorted(set(unfinished.get(name, ())) - there.runs.keys())
        advice = "`ty-openworkflow status` says of each what can be done"
        yield Finding(
            f"{name} runs",
            not gone,
            f"{len(gone)} unfinished runs have no journal: {_some(gone)}" if gone else "all unfinished ones are there",
            advice,
        )
        missing = sorted(set(needed.get(name, ())) - there.revisions)
        told = f"missing: {_some(missing)}" if missing else f"{len(there.revisions)} are there"
        spare = sorted(there.revisions - set(needed.get(name, ())))
        told += f", {len(spare)} of which nobody needs" if spare else ""
        yield Finding(f"{name} revisions", not missing, told, "a pass over the folder of their workflows deploys them again")
        if there.strays:
            yield Finding(f"{name} left-overs", ok=True, found=f"belong to nothing, and may be removed: {_some(list(there.strays))}")
        result.counts["revisions"] = result.counts.get("revisions", 0) + len(there.revisions)


def _some(lines: list[str]) -> str:
    more = f" and {len(lines) - _MOST} more" if len(lines) > _MOST else ""
    return f"{'; '.join(lines[:_MOST])}{more}"
