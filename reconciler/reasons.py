"""Every reason that the program gives, with what it means: a closed list, which the schemas and README repeat and the tests hold."""

# Why a run is as it is, or ended as it did.
OF_RUNS = {
    "asked-for": "recorded, and not handed to a worker yet",
    "backoff": "its worker died again; a short pause goes before the next claim",
    "completed": "its body returned",
    "concurrency": "waits in the queue: a limit of the settings, the adapter or the workflow is reached",
    "canceled": "ended because somebody wanted it to; the message says who or what",
    "canceled-by-command": "`cancel` was given",
    "canceled-by-manifest": "its manifest says `cancel: true`",
    "pruned": "its manifest is gone",
    "rate-limited": "its platform asked to be left alone for a while",
    "revision-altered": "its revision was changed on its platform, and its code is declared no more; a person must decide",
    "replaced": "canceled, and followed by its next incarnation",
    "parent-canceled": "the run that asked for it was canceled",
    "canceling": "its end was asked for; its worker may finish within the grace, and undo what it did",
    "crash-limit": "its worker died again and again without a new result",
    "deploying": "its revision is being deployed; it starts as soon as that is there",
    "dependency": "waits for another run, or was skipped because that one ended otherwise",
    "failed": "its body failed, and no attempt was left",
    "grace": "its worker let go of it: the code did not ask for what its journal holds",
    "handed-over": "its worker let go of it in favour of another one",
    "in-doubt": "a step was cut off in the middle and a person must say what became of it",
    "interrupted": "its worker was told to end (SIGTERM, a reboot, an engine's stop); the next pass carries it on",
    "not-taken": "no worker took its order; it is given again, later each time",
    "no-space": "no space was left where its journal is",
    "nondeterminism": "its code no longer asks for what its journal holds",
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
    "altered": "the revision on its platform is not as it was deployed",
    "child-workflow-missing": "a run asks for a child of a workflow that is not deployed",
    "conflict": "another folder, or another run on the platform, has that name",
    "deploy-failed": "the platform did not take the revision",
    "edited-after-start": "workflow or input was changed after the start: refused, the run is not touched",
    "missing": "the revision is no longer on its platform",
    "stalled": "it was tried, and is not tried again before it changes, or somebody asks",
    "input-too-large": "the input is larger than `limits.input`",
    "invalid": "the manifest cannot be used; what was applied before stays",
    "prune-held": "what is not declared any more is kept until a person has looked",
    "revision-missing": "the revision is not on its platform",
    "runtime-missing": "the interpreter or the adapter that it needs is not here",
    "secret-missing": "a secret could not be resolved",
    "signal-sent": "a signal of the manifest was sent already, with other data",
    "unavailable": "the platform did not answer; it is tried again",
    "workflow-missing": "its workflow is not declared, not valid, or cannot be run here",
}

# What happened, and the conditions of workflows and schedules.
OF_EVENTS = {
    "declared": "as its manifest says",
    "deployed": "the revision is on its platform",
    "healed": "the revision on its platform was put right",
    "edited": "what may be changed after the start was changed",
    "removed": "forgotten, because its manifest is gone",
    "resolved": "what was wrong is over",
    "rerun": "its next incarnation was asked for",
    "resume": "its worker had let go of it and another one has gone on",
    "resumed": "goes on after a suspension",
    "signal": "a signal was sent to it",
}

REASONS = {**OF_RUNS, **OF_TROUBLE, **OF_EVENTS}

# What a person must look at: it does not go on by itself.
FOR_A_PERSON = frozenset({"state-unknown", "quarantined", "revision-altered", "in-doubt", "prune-held", "child-workflow-missing"})

_OF_CANCELS = (
    ("canceled by its manifest", "canceled-by-manifest"),
    ("its manifest is gone", "pruned"),
    ("replaced (", "replaced"),
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
