"""The command line as a person's shell starts it, in a home of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).parents[2]

# What a package client may need to reach its registry from here; everything else of this environment is left out.
_REGISTRY_VARIABLES = ("PIP_", "NPM_CONFIG_", "NODE_EXTRA_CA_CERTS", "SSL_CERT_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


def clean_environment(home: Path, **more: str) -> dict[str, str]:
    """Return the environment of a CI job: no settings, the Python of these tests first on PATH, and nothing is left behind by `start`."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    registries = {name: value for name, value in os.environ.items() if name.upper().startswith(_REGISTRY_VARIABLES)}
    return {**registries, "HOME": str(home), "PATH": path, "LANG": "C.UTF-8", "CI": "true", **more}


@dataclass(frozen=True, slots=True)
class Result:
    """What a call left."""

    stdout: str
    stderr: str
    exit: int

    @property
    def json(self) -> Any:
        """Standard output, as JSON."""
        return json.loads(self.stdout)


@dataclass(frozen=True, slots=True)
class Cli:
    """Starts `ty-openworkflow` with a home and a data folder that nothing else uses."""

    home: Path
    data_dir: Path
    command: tuple[str, ...] = (sys.executable, "-m", "reconciler")
    cwd: Path = CHECKOUT
    env: Mapping[str, str] = field(default_factory=dict)

    def run(self, *args: str, input: str | None = None, expect: int | None = 0, timeout: float = 90) -> Result:
        """Run one command to its end; `expect` is the exit code it must have, None for any."""
        done = subprocess.run(
            [*self.command, "--data-dir", str(self.data_dir), *args],
            cwd=self.cwd,
            env=clean_environment(self.home, **self.env),
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        result = Result(done.stdout, done.stderr, done.returncode)
        if expect is not None and result.exit != expect:
            shown = f"{' '.join(args)} ended with {result.exit}, not {expect}\n--- stdout\n{result.stdout}--- stderr\n{result.stderr}"
            raise AssertionError(shown)
        return result
