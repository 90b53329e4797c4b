"""Whether there is a program that may be TaskYou: a cheap look, remembered as long as the program stays the same."""

import json
from contextlib import suppress
from pathlib import Path

from reconciler.taskyou.errors import TaskYouError
from reconciler.taskyou.where import find_program, fingerprint

_SECONDS = 5.0
_NAME = "taskyou.json"


def may_be_there(cli: str, cache: Path, *, keep: bool) -> bool:
    """Say whether `cli` names a program that tells a version as TaskYou does. With `keep` the answer is left in the folder `cache`.

    Nothing of TaskYou's is opened or made by that. Who calls it in earnest recognises it first.
    """
    try:
        program = find_program(cli)
    except TaskYouError:
        return False
    stamp = fingerprint(program)
    with suppress(OSError, ValueError):
        known = json.loads((cache / _NAME).read_text())
        if isinstance(known, dict) and known.get("fingerprint") == stamp:
            return known.get("taskyou") is True
    from reconciler.taskyou.client import TaskYou
    from reconciler.taskyou.identity import is_version

    try:
        found = is_version(TaskYou(program, "", _SECONDS).ask("--version"))
    except TaskYouError:
        return False
    if keep:
        with suppress(OSError):
            cache.mkdir(parents=True, exist_ok=True, mode=0o700)
            (cache / _NAME).write_text(json.dumps({"fingerprint": stamp, "taskyou": found}))
    return found
