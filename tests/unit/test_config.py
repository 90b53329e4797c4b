"""The settings: what holds without a file, what a file may say, and what is said about one that is wrong."""

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from reconciler.config import Settings, default_settings_text, load_settings, settings_path
from reconciler.errors import InvalidError
from reconciler.secret import SecretSource

HOME = {"HOME": "/home/ana"}
DATA_DIR = Path("/home/ana/.config/ty-openworkflow")
# The keys and values of the example file in the product's documentation.
DOCUMENTED = """\
data_dir: ~/.config/ty-openworkflow
default_adapter: exec
adapters:
  exec: {enabled: true, work_dir: ~/.config/ty-openworkflow/exec}
  docker: {enabled: false, work_dir: ~/.config/ty-openworkflow/docker, network: ""}
  cloudflare:
    enabled: false
    account_id: ""
    api_token: ""
    api_token_cmd: "op read 'op://Private/Cloudflare/api_token'"
    namespace: ""
webhook: {enabled: false, port: 8765, host: localhost, path: /webhook, external_url: ""}
taskyou: {cli: ty, project: "", auto_create_tasks: true}
poll_interval: 30s
"""


def settings_of(folder: Path, text: str | bytes, **environ: str) -> Settings:
    file = folder / "config.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_settings(file, {**HOME, **environ})


def complaint(folder: Path, text: str | bytes, **environ: str) -> str:
    with pytest.raises(InvalidError) as caught:
        settings_of(folder, text, **environ)
    return str(caught.value).replace(f"{folder}/", "")


def test_without_a_file_the_defaults_hold() -> None:
    settings = load_settings(None, HOME)

    assert settings.data_dir == DATA_DIR
    assert settings.adapters.exec.work_dir == DATA_DIR / "exec"
    assert (settings.environment, settings.default_adapter, settings.poll_interval) == ("", "exec", timedelta(seconds=30))
    assert (settings.park_after, settings.concurrency, settings.crash_limit) == (timedelta(minutes=2), 0, 3)
    assert settings.limits == (16 << 20, 1 << 20, 25_000, 64 << 20)
    assert settings.adapters.enabled == {"exec"}
    assert settings.adapters.exec.concurrency == max(4, 2 * len(os.sched_getaffinity(0)))
    assert settings.adapters.docker.images == ("node:22-slim", "python:3.12-slim")
    assert settings.webhook[:4] == (False, 8765, "localhost", "/webhook")
    assert settings.taskyou[:4] == ("ty", "", "", True)
    assert settings.source is None


def test_the_documented_example_loads_as_it_stands(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, DOCUMENTED)

    assert settings.adapters.cloudflare.api_token_cmd == "op read 'op://Private/Cloudflare/api_token'"
    assert settings._replace(
        source=None, adapters=settings.adapters._replace(cloudflare=load_settings(None, HOME).adapters.cloudflare)
    ) == load_settings(None, HOME)


def test_every_key_arrives(tmp_path: Path) -> None:
    text = """\
data_dir: data
environment: prod
default_adapter: docker
poll_interval: 1m
park_after: 500ms
concurrency: 9
crash_limit: 5
limits: {input: 1GiB, value: 1.5MiB, calls: 10, journal: 1000}
secrets: {a: {env: A}, b: {file: b.txt}, c: {cmd: "pass show $c | head -1"}}
adapters:
  exec: {enabled: false, work_dir: /w, node: ./bin/node, python: python3.12, runs_per_worker: 16, linger: 1s}
  docker:
    enabled: true
    network: n
    build_network: b
    journal: bind
    images: {node: node:24, python: python:3.13}
    hosts: [{name: far, url: "ssh://host", slots: 4, tls: {ca: /ca}, insecure: false}]
    pull: never
    concurrency: 3
  cloudflare: {enabled: true, account_id: x, api_token_cmd: y, namespace: z, api_base: "http://127.0.0.1:8787/v4", concurrency: 2}
webhook: {enabled: true, port: 1, host: 0.0.0.0, path: /x, external_url: "https://x", token_cmd: t, git_secret_cmd: g}
taskyou: {cli: /bin/ty, database: ~/t.db, project: p, auto_create_tasks: false, status_map: {failed: done}, on_task_closed: cancel}
notify: [{url: "https://n", secret_cmd: s, events: [failed]}]
"""
    settings = settings_of(tmp_path, text)

    assert (settings.data_dir, settings.environment, settings.default_adapter) == (tmp_path / "data", "prod", "docker")
    assert settings.limits == (1 << 30, 3 << 19, 10, 1000)
    assert settings.secrets == {
        "a": SecretSource(env="A"),
        "b": SecretSource(file=str(tmp_path / "b.txt")),
        "c": SecretSource(cmd="pass show $c | head -1"),
    }
    assert settings.adapters.exec[:7] == (
        False,
        Path("/w"),
        str(tmp_path / "bin/node"),
        "python3.12",
        16,
        timedelta(seconds=1),
        16 * max(4, 2 * len(os.sched_getaffinity(0))),
    )
    assert settings.adapters.docker.work_dir == tmp_path / "data/docker"
    assert (settings.adapters.docker.hosts[0].name, settings.adapters.docker.hosts[0].tls) == ("far", {"ca": "/ca"})
    assert settings.adapters.enabled == {"docker", "cloudflare"}
    assert (settings.webhook.port, settings.webhook.external_url) == (1, "https://x")
    assert (settings.taskyou.database, settings.taskyou.status_map, settings.taskyou.on_task_closed) == (
        "/home/ana/t.db",
        {"failed": "done"},
        "cancel",
    )
    assert settings.notify == (("https://n", "s", ("failed",)),)


def test_variables_of_the_environment_are_expanded_but_not_in_commands(tmp_path: Path) -> None:
    text = """\
data_dir: $BASE/${SUB}/x
environment: $ENVIRONMENT
webhook: {port: "${PORT}", enabled: $ON, external_url: $NOTHING, token_cmd: "echo $BASE"}
secrets: {a: {cmd: "echo ${BASE}"}}
"""
    settings = settings_of(tmp_path, text, BASE="/base", SUB="sub", PORT="99", ON="true", ENVIRONMENT="prod")

    assert (settings.data_dir, settings.environment) == (Path("/base/sub/x"), "prod")
    assert (settings.webhook.port, settings.webhook.enabled, settings.webhook.external_url) == (99, True, "")
    assert (settings.webhook.token_cmd, settings.secrets["a"].cmd) == ("echo $BASE", "echo ${BASE}")


def test_the_environment_names_the_file_and_the_data_folder(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("data_dir: /elsewhere\nadapters: {docker: {work_dir: /fixed}}\n")
    environ = {**HOME, "TY_OPENWORKFLOW_CONFIG": str(tmp_path / "c.yaml"), "TY_OPENWORKFLOW_DATA_DIR": "~/data", "WORKTREE_DB_PATH": "/t.db"}

    settings = load_settings(None, environ)

    assert settings.source == tmp_path / "c.yaml"
    assert (settings.data_dir, settings.adapters.exec.work_dir) == (Path("/home/ana/data"), Path("/home/ana/data/exec"))
    assert settings.adapters.docker.work_dir == Path("/fixed")
    assert settings.taskyou.database == "/t.db"
    (tmp_path / "c.yaml").write_text("taskyou: {cli: bin/ty, database: t.db}\n")
    assert load_settings(None, environ).taskyou[:2] == (str(tmp_path / "bin" / "ty"), str(tmp_path / "t.db"))
    (tmp_path / "c.yaml").write_text("taskyou: {cli: taskyou}\n")
    assert load_settings(None, environ).taskyou.cli == "taskyou"
    assert settings_path(None, environ) == tmp_path / "c.yaml"
    assert settings_path("~/x.yaml", environ) == Path("/home/ana/x.yaml")
    assert settings_path(None, {**HOME, "TY_OPENWORKFLOW_CONFIG": ""}) == DATA_DIR / "config.yaml"


def test_another_data_folder_takes_what_is_in_it_along() -> None:
    settings = load_settings(None, HOME).with_data_dir(Path("/data"))

    assert settings.adapters.exec.work_dir == Path("/data/exec")


def test_a_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidError, match="there is no such settings file"):
        load_settings(tmp_path / "nowhere.yaml", HOME)
    with pytest.raises(InvalidError, match="cannot be read"):
        load_settings(tmp_path, HOME)


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "{}\n", "adapters:\n", "data_dir: ''\n", "secrets: {}\n", default_settings_text()])
def test_nothing_set_is_nothing_changed(tmp_path: Path, text: str) -> None:
    assert settings_of(tmp_path, text)._replace(source=None) == load_settings(None, HOME)


def test_the_first_settings_file_shows_the_defaults(tmp_path: Path) -> None:
    shown = "\n".join(line[1:] for line in default_settings_text().splitlines() if line.startswith("#") and not line.startswith("# "))

    assert settings_of(tmp_path, shown)._replace(source=None) == load_settings(None, HOME)
    assert "park_after: 2m" in shown


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dat_dir: x\n", "config.yaml:1:1: dat_dir: unknown field 'dat_dir' (did you mean 'data_dir'?)"),
        ("adapters:\n  exec:\n    workdir: x\n", "config.yaml:3:5: adapters.exec.workdir: unknown field 'workdir' (did you mean 'work_dir'?)"),
        ("poll_interval: 30\n", "config.yaml:1:16: poll_interval: expected text, found 30 (a duration has a unit, such as 30s)"),
        ("poll_interval: soon\n", "'soon' is not a duration"),
        ("park_after: 999999999d\n", "longer than a hundred years"),
        ("limits: {input: 5 MB}\n", "is not a size"),
        ("default_adapter: podman\n", "is not one of exec, docker, cloudflare"),
        ("adapters: {exec: {enabled: yes}}\n", "expected true or false, found 'yes' (write true)"),
        ("adapters: {exec: {runs_per_worker: 0}}\n", "0 is below 1"),
        ("adapters: {cloudflare: {api_base: 'http://example.test'}}\n", "must be an https:// address"),
        ("webhook: {port: 65536}\n", "65536 is above 65535"),
        ("secrets: {a: {env: A, file: b}}\n", "takes only one of env, file, cmd"),
        ("secrets: {a: value}\n", "expected a mapping, found 'value'"),
        (
            "taskyou: {status_map: {failed: queued}}\n",
            "'queued' is not one of backlog, blocked, done, archived (there TaskYou starts an agent on the card)",
        ),
        ("taskyou: {status_map: {running: processing}}\n", "moves the card to blocked when none has worked on it for 90 s)"),
        ("taskyou: {status_map: {failed: Done}}\n", "'Done' is not one of backlog, blocked, done, archived"),
        ("taskyou: {status_map: {waiting: done}}\n", "taskyou.status_map.waiting: 'done' is not one of backlog, blocked"),
        ("taskyou: {status_map: {failed: 3}}\n", "expected text, found 3"),
        ("taskyou: {status_map: {error: done}}\n", "config.yaml:1:24: taskyou.status_map.error: "),
        ("taskyou: {on_task_closed: reopen}\n", "'reopen' is not one of ignore, cancel"),
        ("data_dir: $NOWHERE/x\n", "config.yaml:1:11: data_dir: the environment variable NOWHERE is not set"),
        ("crash_limit: 3\ncrash_limit: 4\n", "config.yaml:2:1: the key 'crash_limit' is there twice"),
        ("- a\n", "expected a mapping, found a list"),
        ("text\n", "expected a mapping, found 'text'"),
        ("a: [\n", "config.yaml:2:1: not YAML"),
        (b"a: \xff\n", "is not UTF-8"),
        ("a: 1\n---\nb: 2\n", "config.yaml:3:1: settings are one document"),
    ],
)
def test_settings_that_are_wrong_are_told_with_their_place(tmp_path: Path, text: str | bytes, message: str) -> None:
    assert message in complaint(tmp_path, text)


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    assert len(complaint(tmp_path, "a: 1\nb: 2\nconcurrency: -1\n").splitlines()) == 3


def test_a_token_in_the_settings_is_refused_and_never_shown(tmp_path: Path) -> None:
    told = complaint(tmp_path, "adapters: {cloudflare: {api_token: hunter2}}\n")

    assert "settings hold no secrets" in told
    assert "hunter2" not in told


def test_without_a_file_nothing_heavy_is_imported() -> None:
    program = "import sys; from reconciler.config import load_settings; load_settings(None, {'HOME': '/nowhere'}); print({'yaml', 'jsonschema'} & set(sys.modules))"

    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "set()\n"
