"""The settings: one file for a person or a machine, and what holds without it."""

from reconciler.config.load import CONFIG_VARIABLE, DATA_DIR_VARIABLE, load_settings, settings_path
from reconciler.config.text import default_settings_text
from reconciler.config.types import (
    AdapterSettings,
    CloudflareSettings,
    DockerHost,
    DockerSettings,
    ExecSettings,
    LimitSettings,
    NotifySettings,
    Settings,
    TaskyouSettings,
    WebhookSettings,
)

__all__ = [
    "CONFIG_VARIABLE",
    "DATA_DIR_VARIABLE",
    "AdapterSettings",
    "CloudflareSettings",
    "DockerHost",
    "DockerSettings",
    "ExecSettings",
    "LimitSettings",
    "NotifySettings",
    "Settings",
    "TaskyouSettings",
    "WebhookSettings",
    "default_settings_text",
    "load_settings",
    "settings_path",
]
