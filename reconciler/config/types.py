"""The settings as types, with what holds where nothing is set."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from reconciler.secret import SecretSource


class LimitSettings(NamedTuple):
    """How large things may get; sizes are in bytes."""

    input: int = 16 << 20
    value: int = 1 << 20
    calls: int = 25_000
    journal: int = 64 << 20


class ExecSettings(NamedTuple):
    """Processes on this machine; empty `node` and `python` are the first on PATH. A default `concurrency` counts workers, not runs."""

    enabled: bool = True
    work_dir: Path = Path()
    node: str = ""
    python: str = ""
    runs_per_worker: int = 1
    linger: timedelta = timedelta(seconds=5)
    concurrency: int = 0
    concurrency_is_default: bool = True


class DockerHost(NamedTuple):
    """One engine; an empty `url` is the local one, `slots` 0 is without limit."""

    name: str
    url: str = ""
    slots: int = 0
    tls: Mapping[str, str] = {}
    insecure: bool = False


class DockerImages(NamedTuple):
    """The images of workflows that name none."""

    node: str = "node:22-slim"
    python: str = "python:3.12-slim"


class DockerSettings(NamedTuple):
    """Containers; an empty network is none."""

    enabled: bool = False
    work_dir: Path = Path()
    network: str = ""
    build_network: str = ""
    journal: str = "auto"
    images: DockerImages = DockerImages()
    hosts: tuple[DockerHost, ...] = ()
    pull: str = "missing"
    concurrency: int = 0


class CloudflareSettings(NamedTuple):
    """Cloudflare Workflows."""

    enabled: bool = False
    account_id: str = ""
    api_token_cmd: str = ""
    namespace: str = ""
    api_base: str = "https://api.cloudflare.com/client/v4"
    concurrency: int = 0


class AdapterSettings(NamedTuple):
    """The platforms."""

    exec: ExecSettings = ExecSettings()
    docker: DockerSettings = DockerSettings()
    cloudflare: CloudflareSettings = CloudflareSettings()

    @property
    def enabled(self) -> frozenset[str]:
        """Name the adapters that workflows may use."""
        return frozenset(name for name in self._fields if getattr(self, name).enabled)


class WebhookSettings(NamedTuple):
    """The listener for calls from outside."""

    enabled: bool = False
    port: int = 8765
    host: str = "localhost"
    path: str = "/webhook"
    external_url: str = ""
    token_cmd: str = ""
    git_secret_cmd: str = ""


class TaskyouSettings(NamedTuple):
    """TaskYou; an empty `database` is TaskYou's own."""

    cli: str = "ty"
    database: str = ""
    project: str = ""
    auto_create_tasks: bool = True
    status_map: Mapping[str, str] = {}
    on_task_closed: str = "ignore"


class NotifySettings(NamedTuple):
    """One receiver of events; no `events` are all of them."""

    url: str
    secret_cmd: str = ""
    events: tuple[str, ...] = ()


class Settings(NamedTuple):
    """Everything that can be set, with what holds where nothing is. `source` is the file, if there is one."""

    data_dir: Path
    environment: str = ""
    default_adapter: str = "exec"
    poll_interval: timedelta = timedelta(seconds=30)
    park_after: timedelta = timedelta(minutes=2)
    concurrency: int = 0
    crash_limit: int = 3
    limits: LimitSettings = LimitSettings()
    secrets: Mapping[str, SecretSource] = {}
    adapters: AdapterSettings = AdapterSettings()
    webhook: WebhookSettings = WebhookSettings()
    taskyou: TaskyouSettings = TaskyouSettings()
    notify: tuple[NotifySettings, ...] = ()
    source: Path | None = None

    def with_data_dir(self, data_dir: Path) -> "Settings":
        """Return the same settings with another data folder, and what is below it moved along."""
        exec_ = self.adapters.exec._replace(work_dir=_moved(self.adapters.exec.work_dir, self.data_dir, data_dir))
        docker = self.adapters.docker._replace(work_dir=_moved(self.adapters.docker.work_dir, self.data_dir, data_dir))
        return self._replace(data_dir=data_dir, adapters=self.adapters._replace(exec=exec_, docker=docker))


def _moved(path: Path, old: Path, new: Path) -> Path:
    return new / path.relative_to(old) if path.is_relative_to(old) else path
