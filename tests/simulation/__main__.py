"""`python -m tests.simulation FIRST LAST`: carries out seeds and writes a line of JSON for each; `--trace SEED` tells all of one."""

import gc
import os
import sys
import tempfile
from pathlib import Path

from reconciler.errands import Errands
from tests.simulation.process import template
from tests.simulation.simulation import as_line, simulate


def main(arguments: list[str]) -> None:
    """Carry out what was asked for."""
    os.environ["LOGNAME"] = "somebody"  # who asks for something by command
    assert Errands.__init__.__kwdefaults__ is not None
    Errands.__init__.__kwdefaults__["begin"] = lambda work: work()  # threads would make the order of calls depend on luck
    shm = Path("/dev/shm")
    where = shm if shm.is_dir() and os.access(shm, os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=where) as folder:
        empty = template(Path(folder, "empty"))
        if arguments[0] == "--trace":
            outcome = simulate(int(arguments[1]), empty, Path(folder))
            print(*outcome.trace, outcome.error, sep="\n")
            return
        gc.disable()  # a seed leaves little behind; what it leaves is collected between seeds
        for seed in range(int(arguments[0]), int(arguments[1]) + 1):
            if seed % 50 == 0:
                gc.collect()
            print(as_line(simulate(seed, empty, Path(folder)), trace=False), flush=True)


main(sys.argv[1:])
