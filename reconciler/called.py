"""How this installation's program is called in texts that people read elsewhere."""

import os
from shlex import quote

from reconciler.config import Settings, settings_path


def called(settings: Settings, program: str = "ty-openworkflow") -> str:
    """Return the program with the options that mean the same settings and data folder from anywhere."""
    usual = os.path.expanduser("~/.config/ty-openworkflow")
    words = [program]
    if settings.source is not None and settings.source != settings_path(None, {}):
        words += ["--config", quote(str(settings.source))]
    if str(settings.data_dir) != usual:
        words += ["--data-dir", quote(str(settings.data_dir))]
    return " ".join(words)
