"""A living loop over a site: what it prints, and its end."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.site import Site, eventually


class LivingLoop:
    """A `reconcile` that goes on until the test ends it."""

    def __init__(self, site: Site, process: subprocess.Popen[str], log: Path) -> None:
        self.site, self.process, self.log = site, process, log

    def said(self) -> str:
        """Return everything it has printed."""
        return self.log.read_text()

    def passes(self) -> int:
        """Return how many passes it has told of: those that did something."""
        return self.said().count("action=pass")

    def says(self, text: str, times: int = 1) -> str:
        """Wait until it has printed a text so many times, and return everything."""
        eventually(lambda: self.said().count(text) >= times)
        return self.said()

    def end(self, by: int = signal.SIGTERM, timeout: float = 5) -> int:
        """End it by a signal and return its exit code; SIGTERM has to work within 5 s."""
        self.process.send_signal(by)
        return self.process.wait(timeout)


@contextmanager
def living(
    site: Site, *words: str, command: str = "reconcile", settings: str = "poll_interval: 1h\n", ready: str = "reconciling "
) -> Iterator[LivingLoop]:
    """Run a loop over the project of a site; without a poll interval worth the name, so that only what it hears wakes it."""
    if settings:
        site.settings(settings)
    log = site.home / f"loop-{len(list(site.home.glob('loop-*')))}.log"
    with log.open("w") as file:
        process = site.spawn(command, *(words or (str(site.folder),)), stdout=file, stderr=file)
    loop = LivingLoop(site, process, log)
    try:
        loop.says(ready)
        eventually(lambda: (site.data / "loop" / "passed").exists() or process.poll() is not None)
        yield loop
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
