"""Who asks, from where, and how folders are named to them."""

import os
from pathlib import Path


def person() -> str:
    """Return who asks."""
    import pwd

    named = next((os.environ[name] for name in ("LOGNAME", "USER") if os.environ.get(name)), None)
    if named is not None:
        return named
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"


def here() -> Path:
    """Return the present folder as its name was typed, where the shell knows it."""
    typed = Path(os.environ.get("PWD", ""))
    return typed if typed.is_absolute() and typed.is_dir() and typed.samefile(".") else Path.cwd()


def by(who: str) -> str:
    """Return what is kept of who ran a pass: the command, and the person or CI."""
    return f"{who} ({'CI' if os.environ.get('CI') == 'true' else person()})"


def shown(folder: str) -> str:
    """Return a folder as people like to read it: relative to here where it is below."""
    try:
        relative = Path(folder).relative_to(Path.cwd())
    except ValueError:
        return folder
    return str(relative)
