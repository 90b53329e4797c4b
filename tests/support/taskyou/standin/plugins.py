"""Plugins: folders with a `plugin.yaml`, checked as the real program checks them, and their actions."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any, NamedTuple

from .answer import error, twice
from .hooks import config

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .call import Call

_LIMIT = 60
_DEPTH = 4


class Plugin(NamedTuple):
    """A plugin that can be used."""

    name: str
    version: str
    description: str
    folder: str
    hooks: dict[str, str]
    actions: list[dict[str, Any]]
    services: list[dict[str, Any]]


class InvalidError(Exception):
    """A plugin that cannot be used, and why."""


def folder(call: Call) -> None:
    """`plugins dir`."""
    call.answer.say(_folder())


def listed(call: Call) -> None:
    """`plugins list`."""
    plugins = _load(call)
    if not plugins:
        call.answer.say(f"No plugins installed in {_folder()}\nAdd one by creating <name>/plugin.yaml there. See docs/plugins.md.")
        return
    lines = [f"Plugins in {_folder()}:", ""]
    for plugin in plugins:
        version = f" ({plugin.version})" if plugin.version else ""
        lines.append(f"  {plugin.name}{version}")
        lines += [f"    {plugin.description}"] if plugin.description else []
        lines += [f"    hook   {event:<18} → {script}" for event, script in sorted(plugin.hooks.items())]
        lines += [
            f"    action {action.get('label') or action['id']:<18} → {action['command']}  (ty plugins run {plugin.name} {action['id']})"
            for action in plugin.actions
        ]
        lines += [f"    service {service['name']:<17} → {service['command']}" for service in plugin.services]
        lines.append("")
    call.answer.say("\n".join(lines))


def run(call: Call) -> None:
    """`plugins run PLUGIN ACTION [TASK]`: an unknown card is no error, its variables are only missing."""
    name, wanted = call.given.words[:2]
    plugin = next((plugin for plugin in _load(call) if plugin.name == name), None)
    if plugin is None:
        text = f'plugin "{name}" not found'
        raise twice(text)
    action = next((action for action in plugin.actions if action["id"] == wanted), None)
    if action is None:
        text = f'plugin "{name}" has no action "{wanted}"'
        raise twice(text)
    command = os.path.join(plugin.folder, action["command"].lstrip("/"))
    try:
        done = subprocess.run(
            [command],
            env={**os.environ, **_told(call, plugin)},
            cwd=plugin.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_LIMIT,
            check=False,
        )
    except PermissionError as problem:
        text = f"action {name}/{wanted} failed: fork/exec {command}: permission denied"
        raise twice(text) from problem
    except OSError as problem:
        text = f"action {name}/{wanted} failed: fork/exec {command}: {(problem.strerror or '').lower()}"
        raise twice(text) from problem
    call.answer.out.append(done.stdout.decode("utf-8", "surrogateescape"))
    if done.returncode:
        text = f"action {name}/{wanted} failed: exit status {done.returncode}"
        raise twice(text)


def add(call: Call) -> None:
    """`plugins add SOURCE`: what is no git repository is refused; a folder that is there already, too."""
    source = call.given.words[0]
    target = os.path.join(_folder(), call.given.text("name") or os.path.basename(source.rstrip("/")))
    if os.path.isdir(target) and not os.path.isdir(os.path.join(target, ".git")):
        text = f"{target} already exists and is not a git checkout; remove it or use --name"
        raise twice(text)
    text = f"plugins add {source}: this stand-in clones nothing"
    raise error(text)


def _folder() -> str:
    return os.environ.get("TY_PLUGINS_DIR") or f"{config()}/plugins"


def _told(call: Call, plugin: Plugin) -> dict[str, str]:
    told = {"TASK_PLUGIN_NAME": plugin.name, "TASK_PLUGIN_DIR": plugin.folder}
    if len(call.given.words) > 2:
        task = call.store.find(call.task_number(2))
        told |= {f"TASK_{name.upper()}": str(task[name]) for name in ("id", "title", "status", "project", "type")} if task else {}
    return told


def _load(call: Call) -> list[Plugin]:
    call.store.database.rows("SELECT 1")
    warnings: list[str] = []
    plugins = _discovered(call, _folder(), 0, warnings)
    call.answer.err += [f"warning: {warning}\n" for warning in warnings]
    return sorted(plugins, key=lambda plugin: plugin.name)


def _discovered(call: Call, inside: str, depth: int, warnings: list[str]) -> list[Plugin]:
    """Return the plugins below a folder; one without a manifest is a collection of others."""
    if depth > _DEPTH or not os.path.isdir(inside):
        return []
    found: list[Plugin] = []
    for entry in sorted(os.listdir(inside)):
        place = os.path.join(inside, entry)
        if not os.path.isdir(place):
            continue
        if not os.path.exists(os.path.join(place, "plugin.yaml")):
            found += _discovered(call, place, depth + 1, warnings)
            continue
        try:
            found.append(_plugin(call, place, warnings))
        except InvalidError as invalid:
            warnings.append(str(invalid))
    return found


def _plugin(call: Call, place: str, warnings: list[str]) -> Plugin:
    manifest = _manifest(call, place)
    name = manifest.get("name")
    if not name:
        text = f"plugin {os.path.basename(place)}: manifest is missing a name"
        raise InvalidError(text)
    hooks: dict[str, str] = manifest.get("hooks") or {}
    actions: list[dict[str, Any]] = manifest.get("actions") or []
    services = manifest.get("services") or []
    if not hooks and not actions and not services:
        text = f'plugin "{name}": manifest declares no hooks, actions, services, workflows, or routines; skipping'
        raise InvalidError(text)
    dropped = [f"hook:{event}" for event, script in hooks.items() if not _is_script(place, script)]
    good = []
    for action in actions:
        if not action.get("id") or not action.get("command"):
            dropped.append("action:<malformed>")
        elif not _is_script(place, action["command"]):
            dropped.append(f"action:{action['id']}")
        else:
            good.append(action)
    hooks = {event: script for event, script in hooks.items() if _is_script(place, script)}
    if not hooks and not good and not services:
        text = f'plugin "{name}": no usable hook, action, service, workflow, or routine found; skipping'
        raise InvalidError(text)
    if dropped:
        warnings.append(f'plugin "{name}": ignored entries with missing/invalid scripts: [{" ".join(sorted(dropped))}]')
    return Plugin(name, str(manifest.get("version") or ""), manifest.get("description") or "", place, hooks, good, services)


def _manifest(call: Call, place: str) -> dict[str, Any]:
    """Read a manifest; a wrong kind of value makes the whole plugin invalid."""
    sys.path.append(call.settings["site_packages"])
    import yaml

    where = f"plugin {os.path.basename(place)}: invalid plugin.yaml: yaml: "
    try:
        with open(os.path.join(place, "plugin.yaml"), encoding="utf-8") as file:
            root = yaml.compose(file, yaml.SafeLoader)
        manifest = yaml.SafeLoader("").construct_document(root) if root else {}
    except yaml.YAMLError as problem:
        text = where + " ".join(str(problem).split())
        raise InvalidError(text) from problem
    if not isinstance(manifest, dict):
        text = f"{where}unmarshal errors:\n  line 1: cannot unmarshal !!str into hooks.Plugin"
        raise InvalidError(text)
    for node in _services(root):
        for key, value in node.value:
            if key.value == "env" and isinstance(value, yaml.MappingNode):
                text = f"{where}unmarshal errors:\n  line {value.start_mark.line + 1}: cannot unmarshal !!map into []string"
                raise InvalidError(text)
    return manifest


def _services(root: Any) -> list[Any]:
    for key, value in root.value:
        if key.value == "services":
            return list(value.value)
    return []


def _is_script(place: str, script: str) -> bool:
    """Return whether a script is a file inside the plugin; an absolute path is taken as one inside, too."""
    return os.path.isfile(os.path.join(place, script.lstrip("/")))
