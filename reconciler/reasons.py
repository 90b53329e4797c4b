"""Every reason that the program gives, with what it means: a closed list, which the schemas and README repeat and the tests hold."""

# Why a run is as it is, or ended as it did.
OF_RUNS = {
    "approval": "waits for a person's approval",
    "asked-for": "recorded, and not handed to a worker yet",
    "assumed-done": "a person said that it has run: `--assume done`",
    "backoff": "its worker died again; a short pause goes before the next claim",
    "completed": "its body returned",
    "concurrency": "waits in the queue: a limit of the settings, the adapter or the workflow is reached",
    "canceled": "ended because somebody wanted it to; the message says who or what",
    "canceled-by-command": "`cancel` was given",
    "canceled-on-board": "a person closed or removed its card in TaskYou, and `on_task_closed` is `cancel`",
    "canceled-by-manifest": "its manifest says `cancel: true`",
    "pruned": "its manifest is gone",
    "rate-limited": "its platform asked to be left alone for a while",
    "revision-altered": "its revision was changed on its platform, and its code is declared no more; a person must decide",
    "replaced": "canceled, and followed by its next incarnation",
    "parent-canceled": "the run that asked for it was canceled",
    "canceling": "its end was asked for; its worker may finish within the grace, and undo what it did",
    "crash-limit": "its worker died again and again without a new result",
    "deploying": "its revision is being deployed",
    "dependency": "waits for another run, or was skipped because that one ended otherwise",
    "failed": "its body failed, and no attempt was left",
    "grace": "its worker let go of it: the code did not ask for what its journal holds",
    "handed-over": "its worker let go of it in favour of another one",
    "in-doubt": "a step was cut off in the middle and a person must say what became of it",
    "interrupted": "its worker was told to end (SIGTERM, a reboot, an engine's stop); the next pass carries it on",
    "not-taken": "no worker took its order; it is given again, later each time",
    "no-space": "no space was left where its journal is",
    "nondeterminism": "its code no longer asks for what its journal holds",
    "overlap": "another run of its schedule has not ended; or its slot was skipped for that",
    "overdue": "its time has passed and no pass has woken it",
    "parked": "waits and holds no worker",
    "quarantined": "its journal is damaged; the bytes are kept and nothing is done to it",
    "skipped": "ended without a start",
    "sleeping": "waits for its time",
    "pending": "asked for, and not started yet",
    "running": "a worker carries it out",
    "waiting": "waits for a signal, a child or an approval",
    "start-after": "starts at the instant of `startAfter`",
    "start-deadline": "was not started before `startDeadline`",
    "started": "handed to a worker for the first time",
    "state-unknown": "nothing proves what became of it; a person must decide",
    "storage": "its journal could not be written or read",
    "suspended": "held by a request or its manifest: no start and no further claim until it is resumed",
    "takeover": "its worker died and another one has gone on",
    "timeout": "it did not end within `timeout`",
    "unknown": "its platform could not be asked",
    "worker-gone": "its worker died; the next pass starts another one",
}

# Why something was not done, or did not work.
OF_TROUBLE = {
    "altered": "what is on the platform is not what was deployed",
    "another-folder": "two folders claim one project: nothing is carried out until one of them gives way",
    "bisect-in-progress": "a bisection is under way in the work tree: nothing is carried out",
    "branch-changed": "the work tree is on another branch than before: nothing is carried out until a person has looked",
    "cherry-pick-in-progress": "a cherry-pick is under way in the work tree: nothing is carried out",
    "child-workflow-missing": "a run asks for a child of a workflow that is not deployed",
    "conflict": "another folder, or another run on the platform, has that name",
    "deploy-failed": "the platform did not take the revision",
    "edited-after-start": "workflow or input was changed after the start: refused, the run is not touched",
    "fetch-failed": "the repository could not be fetched: the last known commit is used",
    "folder-missing": "the folder is gone: nothing is carried out until it is back",
    "folder-unreadable": "the folder cannot be read: nothing is carried out",
    "git-busy": "git is at work in the work tree: nothing is carried out",
    "input-too-large": "the input is larger than `limits.input`",
    "impossible": "its platform shows a status that cannot follow the last one: it is not believed",
    "invalid": "the manifest cannot be used; what was applied before stays",
    "merge-in-progress": "a merge is under way in the work tree: nothing is carried out",
    "missed": "slots of a schedule passed while nobody looked, and were skipped as `catchUp` says",
    "missing": "what was deployed is not on the platform",
    "name-taken": "another run has the name of a slot: the slot is skipped",
    "project-missing": "the folder was a project, and its ty-openworkflow.yaml is gone: nothing is carried out",
    "rebase-in-progress": "a rebase is under way in the work tree: nothing is carried out",
    "revert-in-progress": "a revert is under way in the work tree: nothing is carried out",
    "prune-confirm": "what is not declared any more said `prune: confirm`: it is kept until a person approves the plan",
    "prune-held": "what is not declared any more is kept until a person has looked",
    "revision-missing": "the revision is not on its platform",
    "runtime-missing": "the interpreter or the adapter that it needs is not here",
    "secret-missing": "a secret could not be resolved",
    "settling": "its manifest vanished less than two seconds ago, and may be back in a moment",
    "signal-sent": "a signal of the manifest was sent already, with other data",
    "stalled": "it failed for good, and is tried again when its manifest changes",
    "task-not-synced": "its card in TaskYou is not as it should be; no run is touched by that",
    "time-zone-missing": "this machine does not know the time zone",
    "unavailable": "the platform did not answer; it is tried again",
    "workflow-missing": "its workflow is not declared, not valid, or cannot be run here",
    "wrong-branch": "the work tree is not on the branch that the project names: nothing is carried out",
}

# What happened, and the conditions of workflows and schedules.
OF_EVENTS = {
    "armed": "a schedule waits for its next slot",
    "collected": "ended runs went as `keep` says",
    "declared": "as its manifest says",
    "deployed": "the revision is on its platform",
    "healed": "the revision on its platform was put right",
    "edited": "what may be changed after the start was changed",
    "rebuilt": "brought back from its journal, since the database was new",
    "removed": "forgotten, because its manifest is gone",
    "resolved": "what was wrong is over",
    "rerun": "its next incarnation was asked for",
    "resume": "its worker had let go of it and another one has gone on",
    "resumed": "goes on after a suspension",
    "signal": "a signal was sent to it",
    "task-closed": "a person closed its card in TaskYou",
    "task-created": "its card was made in TaskYou",
    "task-removed": "a person removed its card in TaskYou; it is not made again",
}

REASONS = {**OF_RUNS, **OF_TROUBLE, **OF_EVENTS}

# What a person must look at: it does not go on by itself.
FOR_A_PERSON = frozenset({"state-unknown", "quarantined", "revision-altered", "in-doubt", "prune-held", "child-workflow-missing"})

_OF_CANCELS = (
    ("canceled by its manifest", "canceled-by-manifest"),
    ("its manifest is gone", "pruned"),
    ("its task #", "canceled-on-board"),
    ("replaced (", "replaced"),
    ("replaced by ", "overlap"),
    ("a newer slot, ", "overlap"),
    ("its parent run/", "parent-canceled"),
)


def let_go_reason(reason: str) -> str:
    """Return why a worker let go of a run; what it calls suspended is an interruption, and no suspension."""
    return "interrupted" if reason == "suspended" else reason


def reason_of_end(status: str, reason: str, message: str = "") -> tuple[str, str]:
    """Return reason and message of an end: a canceled run carries the words of who asked, which are no reason of the list."""
    if status != "canceled":
        return (reason, message) if reason in REASONS or not reason else (status, message or reason)
    told = reason if reason and reason not in REASONS else message
    if reason in REASONS and reason != "canceled":
        return reason, told
    known = next((code for words, code in _OF_CANCELS if told.startswith(words)), "canceled-by-command" if told else "canceled")
    return known, told
