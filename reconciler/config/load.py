"""Reads the settings file."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reconciler.config.types import (
    AdapterSettings,
    CloudflareSettings,
    DockerHost,
    DockerImages,
    DockerSettings,
    ExecSettings,
    LimitSettings,
    NotifySettings,
    Settings,
    TaskyouSettings,
    WebhookSettings,
)
from reconciler.duration import parse_duration
from reconciler.errors import InvalidError
from reconciler.secret import SecretSource

CONFIG_VARIABLE = "TY_OPENWORKFLOW_CONFIG"
DATA_DIR_VARIABLE = "TY_OPENWORKFLOW_DATA_DIR"
_DEFAULT_FOLDER = "~/.config/ty-openworkflow"
_UNITS = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "B": 1}
_LEAST_CONCURRENCY = 4


def settings_path(given: str | Path | None, environ: Mapping[str, str] = os.environ) -> Path:
    """Return the file that settings are read from, whether it is there or not."""
    return _path(str(given or environ.get(CONFIG_VARIABLE) or f"{_DEFAULT_FOLDER}/config.yaml"), Path.cwd(), environ)


def load_settings(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """Read the settings: `path`, else the file that the environment names, else the usual one. Raises InvalidError.

    A file that was named must be there; without the usual one the defaults hold.
    """
    file = settings_path(path, environ)
    try:
        data = file.read_bytes()
    except FileNotFoundError as error:
        if path is None and not environ.get(CONFIG_VARIABLE):
            return _settings({}, None, environ)
        message = f"{file}: there is no such settings file"
        raise InvalidError(message) from error
    except OSError as error:
        message = f"{file}: the settings cannot be read: {error.strerror}"
        raise InvalidError(message) from error
    from reconciler.config.reading import read_settings

    return _settings(read_settings(file, data, environ), file, environ)


def _settings(given: dict[str, Any], source: Path | None, environ: Mapping[str, str]) -> Settings:
    base = source.parent if source is not None else Path.cwd()
    data_dir = _path(given.get("data_dir", _DEFAULT_FOLDER), base, environ)
    settings = Settings(
        data_dir=data_dir,
        environment=given.get("environment", ""),
        default_adapter=given.get("default_adapter", "exec"),
        poll_interval=parse_duration(given.get("poll_interval", "30s")),
        park_after=parse_duration(given.get("park_after", "2m")),
        concurrency=given.get("concurrency", 0),
        crash_limit=given.get("crash_limit", 3),
        limits=LimitSettings(**{key: size(value) for key, value in given.get("limits", {}).items()}),
        secrets={name: _secret(source, base, environ) for name, source in given.get("secrets", {}).items()},
        adapters=_adapters(given.get("adapters", {}), data_dir, base, environ),
        webhook=WebhookSettings(**given.get("webhook", {})),
        taskyou=_taskyou(given.get("taskyou", {}), base, environ),
        notify=tuple(NotifySettings(**{**item, "events": tuple(item.get("events", ()))}) for item in given.get("notify", ())),
        source=source,
    )
    moved = environ.get(DATA_DIR_VARIABLE)
    return settings.with_data_dir(_path(moved, Path.cwd(), environ)) if moved else settings


def size(value: str | int) -> int:
    """Return a size in bytes: a number, or text such as `16MiB`."""
    if isinstance(value, int):
        return value
    unit = next(unit for unit in _UNITS if value.endswith(unit))
    return int(float(value.removesuffix(unit)) * _UNITS[unit])


def _adapters(given: Mapping[str, Any], data_dir: Path, base: Path, environ: Mapping[str, str]) -> AdapterSettings:
    exec_ = {**given.get("exec", {})}
    linger = parse_duration(exec_.pop("linger", "5s"))
    work_dir = _path(exec_.pop("work_dir", str(data_dir / "exec")), base, environ)
    exec_.update((key, _program(exec_[key], base, environ)) for key in ("node", "python") if key in exec_)
    exec_["concurrency_is_default"] = "concurrency" not in exec_
    exec_.setdefault("concurrency", max(_LEAST_CONCURRENCY, 2 * _cores()) * exec_.get("runs_per_worker", 1))
    return AdapterSettings(
        ExecSettings(work_dir=work_dir, linger=linger, **exec_),
        _docker({**given.get("docker", {})}, data_dir, base, environ),
        CloudflareSettings(**given.get("cloudflare", {})),
    )


def _docker(given: dict[str, Any], data_dir: Path, base: Path, environ: Mapping[str, str]) -> DockerSettings:
    work_dir = _path(given.pop("work_dir", str(data_dir / "docker")), base, environ)
    images = DockerImages(**given.pop("images", {}))
    hosts = tuple(DockerHost(**host) for host in given.pop("hosts", ()))
    return DockerSettings(work_dir=work_dir, images=images, hosts=hosts, **given)


def _taskyou(given: Mapping[str, Any], base: Path, environ: Mapping[str, str]) -> TaskyouSettings:
    database = given.get("database") or environ.get("WORKTREE_DB_PATH") or ""
    cli = _program(given.get("cli", TaskyouSettings().cli), base, environ)
    return TaskyouSettings(**{**given, "cli": cli, "database": str(_path(database, base, environ)) if database else ""})


def _secret(given: Mapping[str, str], base: Path, environ: Mapping[str, str]) -> SecretSource:
    return SecretSource(file=str(_path(given["file"], base, environ))) if "file" in given else SecretSource(**given)


def _program(text: str, base: Path, environ: Mapping[str, str]) -> str:
    """Return a program: a bare name is looked for on PATH, anything else is a path."""
    return str(_path(text, base, environ)) if "/" in text else text


def _path(text: str, base: Path, environ: Mapping[str, str]) -> Path:
    if text == "~" or text.startswith("~/"):
        text = (environ.get("HOME") or os.path.expanduser("~")) + text[1:]
    return Path(os.path.abspath(base / text))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
