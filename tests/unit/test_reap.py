"""Only the exit statuses of workers are collected: others are waited for by who started them."""

import os
import subprocess

from adapters.processes import reap


def test_the_exit_status_of_somebody_elses_child_is_left_to_him() -> None:
    process = subprocess.Popen(["/bin/sh", "-c", "exit 7"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)

    reap()

    assert process.wait() == 7
