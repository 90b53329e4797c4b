"""What people see of an installation that is broken: in `doctor`, and in the commands that they use."""

from tests.support.cli import Result
from tests.support.site import Site

ECHO = """\
import os

def effect():
    fd = os.open(os.environ["EFFECTS"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(fd, b"echo\\n")
    os.close(fd)

def workflow(input, ctx):
    ctx.step("echo", effect)
"""


def use(site: Site) -> None:
    """Carry out a run, and declare a second one."""
    site.workflow("echo", "echo.py", ECHO)
    site.start("one", "echo")
    site.finish()
    site.start("two", "echo")


def failures(site: Site) -> dict[str, str]:
    """Return what `doctor` finds, by the name of what it looked at; every finding has its one line, and its advice."""
    done = site.cli.run("doctor", expect=None)
    checks = site.cli.run("doctor", "--json", expect=None).json["checks"]
    found = {check["check"]: f"{check['found']} {check['advice']}" for check in checks if not check["ok"]}
    lines = [line for line in done.stdout.splitlines() if line.startswith("FAIL")]
    assert [line.split("  ")[1] for line in lines] == list(found), done.stdout
    assert "Traceback" not in done.stderr
    assert done.exit == (1 if found else 0)
    return found


def check_others(site: Site, *, broken: tuple[str, ...], says: str) -> None:
    """Check that `plan`, `status` and `reconcile` end with one clear error if they are among the `broken`, and work otherwise."""
    for command, words in (("plan", ["plan", str(site.folder)]), ("status", ["status"]), ("reconcile", ["reconcile", "--once", str(site.folder)])):
        done = site.cli.run(*words, expect=None)
        check_told(done, command, says) if command in broken else check_well(done, command)


def check_told(done: Result, command: str, says: str) -> None:
    assert done.exit not in (0, 2), f"{command} took no notice"
    assert says in done.stderr, f"{command}: {done.stderr}"
    assert len(done.stderr.strip().splitlines()) <= 2, f"{command}: {done.stderr}"


def check_well(done: Result, command: str) -> None:
    assert done.exit in (0, 1), f"{command}: {done.stderr}"
    assert "Traceback" not in done.stderr, f"{command}: {done.stderr}"
