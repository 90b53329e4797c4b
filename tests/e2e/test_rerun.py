"""Running again what has ended: from the beginning, what failed, from a step; and whether a journal still fits the code."""

import pytest

from tests.support.site import Site

QUICK = "adapters: {exec: {linger: 50ms}}\n"
WORK = {
    "python": (
        "work.py",
        """\
import os

def note(text):
    fd = os.open(os.environ["EFFECTS"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(fd, (text + "\\n").encode())
    os.close(fd)

def workflow(input, ctx):
    def work(name):
        def do(attempt):
            note(f"{name} {attempt.key}")
            if name == "c" and not os.path.exists(os.environ["MENDED"]):
                raise ctx.NonRetryableError("not mended yet")
            return name.upper()
        return do
    token = ctx.uuid()
    out = [ctx.step(name, work(name)) for name in ("a", "b", "c", "d")]
    return {"out": out, "token": token, "moment": ctx.now()}
""",
    ),
    "node": (
        "work.js",
        """\
const fs = require("node:fs");
async function workflow(input, { step, uuid, now, NonRetryableError }) {
  const work = (name) => ({ key }) => {
    fs.appendFileSync(process.env.EFFECTS, `${name} ${key}\\n`);
    if (name === "c" && !fs.existsSync(process.env.MENDED)) throw new NonRetryableError("not mended yet");
    return name.toUpperCase();
  };
  const token = uuid();
  const out = [];
  for (const name of ["a", "b", "c", "d"]) out.push(await step(name, work(name)));
  return { out, token, moment: now() };
}
""",
    ),
}
languages = pytest.mark.parametrize("language", WORK)


def failed(site: Site, language: str) -> None:
    """Have a run that failed at its third step, and mend what made it fail."""
    site.settings(QUICK)
    file, code = WORK[language]
    site.workflow("work", file, code, env={"MENDED": {"value": str(site.home / "mended")}})
    site.start("job", "work")
    site.finish(expect=5)
    (site.home / "mended").touch()


def keys(site: Site) -> list[tuple[str, str]]:
    """Return the names of the steps whose bodies ran, with the uid part of their keys, in order."""
    found = []
    for line in site.effects():
        name, _, key = line.partition(" ")
        found.append((name, key.partition("/")[0]))
    return found


@languages
def test_retry_keeps_what_completed_and_its_keys(site: Site, language: str) -> None:
    failed(site, language)
    first = keys(site)[0][1]

    said = site.cli.run("retry", "job", "--wait").stdout

    view = site.status("job")
    assert view["incarnation"] == 2
    assert view["output"]["out"] == ["A", "B", "C", "D"]
    assert [name for name, _ in keys(site)] == ["a", "b", "c", "c", "d"]
    assert {uid for _, uid in keys(site)} == {first}
    assert "run/job" in said
    assert site.plan()["changes"] == []


@languages
def test_rerun_from_a_step_gives_it_and_what_follows_new_keys(site: Site, language: str) -> None:
    failed(site, language)
    site.cli.run("retry", "job", "--wait")
    token = site.status("job")["output"]["token"]

    site.cli.run("rerun", "job", "--from", "b", "--wait")

    ran = keys(site)[5:]
    assert [name for name, _ in ran] == ["b", "c", "d"]
    assert {uid for _, uid in ran} != {keys(site)[0][1]}
    assert len({uid for _, uid in ran}) == 1
    assert site.status("job")["incarnation"] == 3
    assert site.status("job")["output"]["token"] != token


@languages
def test_rerun_begins_from_the_beginning(site: Site, language: str) -> None:
    failed(site, language)

    site.cli.run("rerun", "job", "--wait")

    ran = keys(site)
    assert [name for name, _ in ran] == ["a", "b", "c", "a", "b", "c", "d"]
    assert ran[0][1] != ran[3][1]


def test_a_rerun_takes_the_manifest_as_it_is_now_and_a_retry_the_recorded_input(site: Site) -> None:
    site.workflow("echo", "echo.py", "def workflow(input, ctx):\n    return input\n")
    site.start("job", "echo", input="old")
    site.finish()
    site.start("job", "echo", input="new")
    site.pass_(expect=1)

    site.cli.run("rerun", "job", "--wait")

    assert site.status("job")["output"] == "new"
    assert site.plan()["changes"] == []


def test_an_active_run_is_canceled_before_it_is_run_again(site: Site) -> None:
    site.settings(QUICK)
    site.workflow("nap", "nap.py", 'def workflow(input, ctx):\n    ctx.wait_for_signal("go")\n    return ctx.run.incarnation\n')
    site.start("job", "nap")
    site.pass_("--until", "parked")

    site.cli.run("rerun", "job")
    site.pass_("--until", "parked")
    site.cli.run("signal", "job", "go")
    site.cli.run("wait", "job")

    assert site.status("job")["output"] == 2
    assert [record["status"] for record in site.journal("job") if record["type"] == "finished"] == ["canceled"]


def test_wrong_reruns_are_refused_in_words(site: Site) -> None:
    failed(site, "python")

    assert "has no step 'x'; its steps are a, b, c" in site.cli.run("rerun", "job", "--from", "x", expect=1).stderr
    assert "exclude each other" in site.cli.run("rerun", "job", "--from", "a", "--failed", expect=64).stderr
    site.cli.run("retry", "job", "--wait")
    assert "has completed: nothing of it failed" in site.cli.run("retry", "job", expect=1).stderr
    assert site.status("job")["incarnation"] == 2


VERSION = """\
def workflow(input, ctx):
    if input == "wait":
        ctx.wait_for_signal("never")
    return ctx.step("a", lambda: {number})
"""


def test_same_revision_runs_the_old_code_as_long_as_it_is_there(site: Site) -> None:
    site.settings(QUICK)
    site.workflow("job", "job.py", VERSION.format(number=1))
    site.start("job", "job")
    site.start("keeper", "job", input="wait")
    site.pass_("--until", "parked")
    site.workflow("job", "job.py", VERSION.format(number=2))
    site.pass_()

    old = site.cli.run("rerun", "job", "--same-revision", "--wait", "--json").json
    site.cli.run("cancel", "keeper", "--wait")
    site.pass_(expect=None)
    gone = site.cli.run("rerun", "job", "--same-revision", expect=1).stderr
    new = site.cli.run("rerun", "job", "--wait", "--json").json

    assert (old["output"], new["output"]) == (1, 2)
    assert "is not there any more: without --same-revision it runs on the present one" in gone


# Replay

FLOW = {
    "python": (
        "flow.py",
        'def workflow(input, ctx):\n    a = ctx.step("a", lambda: 1)\n    ctx.sleep("nap", "10ms")\n    b = ctx.step("b", lambda: a + 1)\n    return a + b\n',
        [
            ('ctx.step("b"', 'ctx.step("c"', 'the journal holds step "b" here, the code asked for step "c"'),
            ('    ctx.sleep("nap", "10ms")\n', "", 'the journal holds sleep "nap" here, the code asked for step "b"'),
            ("return a + b", "return a - b", "the code returns another output than the recorded one"),
        ],
    ),
    "node": (
        "flow.js",
        (
            'async function workflow(input, { step, sleep }) {\n  const a = await step("a", () => 1);\n  await sleep("nap", 10);\n'
            '  const b = await step("b", () => a + 1);\n  return a + b;\n}\n'
        ),
        [
            ('step("b"', 'step("c"', 'the journal holds step "b" here, the code asked for step "c"'),
            ('  await sleep("nap", 10);\n', "", 'the journal holds sleep "nap" here, the code asked for step "b"'),
            ("return a + b", "return a - b", "the code returns another output than the recorded one"),
        ],
    ),
}


@pytest.mark.parametrize("language", FLOW)
def test_replay_says_whether_a_journal_fits_other_code(site: Site, language: str) -> None:
    file, code, changes = FLOW[language]
    site.workflow("flow", file, code)
    site.start("job", "flow")
    site.finish()
    before = site.journals()

    fits = site.cli.run("replay", "job").stdout
    told = []
    for old, new, _ in changes:
        other = site.home / file
        other.write_text(code.replace(old, new))
        told.append(site.cli.run("replay", "job", "--code", str(other), expect=1).stdout)

    assert fits == "run/job: fits, 3 of 3 recorded calls are asked for\n"
    for said, (_, _, difference) in zip(told, changes, strict=True):
        assert "does not fit" in said
        assert difference in said
    assert site.journals() == before
    assert site.processes() == {}


def test_replay_of_a_run_that_waits_says_how_it_would_go_on(site: Site) -> None:
    site.settings(QUICK)
    code = 'def workflow(input, ctx):\n    ctx.wait_for_signal("go")\n    ctx.step("after", print)\n'
    site.workflow("flow", "flow.py", code)
    site.start("job", "flow")
    site.pass_("--until", "parked")
    other = site.home / "flow.py"
    other.write_text('def workflow(input, ctx):\n    ctx.step("before", print)\n    ctx.wait_for_signal("go")\n')

    assert "fits" in site.cli.run("replay", "job", "--json").stdout
    assert 'the code asked for step "before"' in site.cli.run("replay", "job", "--code", str(other), expect=1).stdout
    assert "there is no such file or folder" in site.cli.run("replay", "job", "--code", "nowhere", expect=64).stderr


def test_what_start_wrote_goes_on_after_a_retry_although_its_manifest_is_gone(site: Site) -> None:
    """Nobody's folder holds the next incarnation, so that none prunes it."""
    failed(site, "py", command=True)
    assert list((site.data / "manifests" / "runs").iterdir()) == []

    site.cli.run("retry", "job", "--wait")
    site.cli.run("reconcile", "--once", str(site.data / "manifests"))

    assert (site.status("job")["status"], site.status("job")["metadata"]["owner"]) == ("completed", "")
