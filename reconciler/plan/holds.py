"""Whether the pass of a whole folder may go: what a folder declares counts for nothing while it stands where nobody has meant it to stand."""

from reconciler.actions import Notice
from reconciler.model import Desired, Standing
from reconciler.recorded import KnownPlace
from reconciler.values import frozen

_UNDER_WAY = {
    "merge-in-progress": "a merge is under way: finish it, or `git merge --abort`",
    "rebase-in-progress": "a rebase is under way: finish it, or `git rebase --abort`",
    "cherry-pick-in-progress": "a cherry-pick is under way: finish it, or `git cherry-pick --abort`",
    "revert-in-progress": "a revert is under way: finish it, or `git revert --abort`",
    "bisect-in-progress": "a bisection is under way: `git bisect reset` ends it",
    "git-busy": "git is at work here (index.lock is there): if no git runs, remove that file",
}


@frozen
class Claimant:
    """The folder that held a place before, as it is found now; `suggested` is a name for the project of the one that comes second.

    `missing_project` is the project that the folder at hand was, where its project file is not there any more.
    """

    folder: str = ""
    suggested: str = ""
    missing_project: str = ""


def holds(desired: Desired, standing: Standing | None, known: KnownPlace | None, claimant: Claimant | None, *, accept_branch: bool) -> list[Notice]:
    """Return why nothing of what a folder declares is carried out; nothing if it is."""
    about = f"project/{desired.place.project}"
    found = []
    if claimant is not None:
        found.append(_claimed(about, desired, claimant))
    if standing is not None and standing.operation:
        found.append(Notice(about, standing.operation, f"nothing is carried out: {_UNDER_WAY[standing.operation]}"))
    if standing is not None and not accept_branch:
        found += _branch(about, desired, standing, known)
    return found


def _branch(about: str, desired: Desired, standing: Standing, known: KnownPlace | None) -> list[Notice]:
    here = _named(standing)
    way = "`reconcile --accept-branch` lets it through"
    if desired.branch and desired.branch not in standing.branches:
        return [Notice(about, "wrong-branch", f"nothing is carried out: this is {here}, and the project says branch {desired.branch}; {way}")]
    before = frozenset() if known is None else known.branches
    if before and not before & standing.branches:
        message = f"nothing is carried out: this is {here}, and the last pass was on {' or '.join(sorted(before))}; {way}"
        return [Notice(about, "branch-changed", message)]
    return []


def _named(standing: Standing) -> str:
    if standing.branch:
        return f"branch {standing.branch}"
    named = f" ({', '.join(sorted(standing.branches))})" if standing.branches else ", which is no branch's commit here"
    return f"the detached commit {standing.commit[:12]}{named}"


def remembered(desired: Desired, standing: Standing, known: KnownPlace | None) -> frozenset[str]:
    """Return the branches to remember of a pass that goes: what a detached HEAD may be is narrowed down as passes come."""
    before = frozenset() if known is None else known.branches
    if desired.branch:
        return frozenset({desired.branch}) if desired.branch in standing.branches else before
    return standing.branches & before or standing.branches


def _claimed(about: str, desired: Desired, claimant: Claimant) -> Notice:
    place = f"{desired.place.project}/{desired.place.environment}"
    if claimant.missing_project:
        message = (
            f"nothing is carried out: this folder was project {claimant.missing_project}, and its ty-openworkflow.yaml is gone."
            " Put the file back, and everything is as it was"
        )
        return Notice(about, "project-missing", message)
    lines = ("apiVersion: ty-openworkflow/v1", "kind: Project", "metadata:", f"  name: {claimant.suggested}")
    verb = "change metadata.name of the Project in" if desired.place.project != "default" else "write"
    message = (
        f"nothing is carried out: {claimant.folder} holds {place} already, and {desired.folder} claims it too."
        f" For a project of its own, {verb} {desired.folder}/ty-openworkflow.yaml:\n" + "\n".join(lines)
    )
    return Notice(about, "another-folder", message)
