"""What a load is told beside its folder."""

from pathlib import Path
from typing import NamedTuple


class LoadOptions(NamedTuple):
    """How a folder is read.

    `environment` is what `--env` or the settings say. `wait_unstable` waits a few seconds for files that are being written instead
    of leaving them out. `local` is for the folder that commands write into, where objects carry their project and environment. `tree` is where
    the files are of a commit that stands for the folder: nobody writes there, and all of them are whole.
    """

    environment: str | None = None
    default_adapter: str = "exec"
    enabled_adapters: frozenset[str] = frozenset({"exec"})
    cache_dir: Path | None = None
    write_cache: bool = False
    wait_unstable: bool = False
    local: bool = False
    tree: Path | None = None
