"""Suspending by command and by manifest, in any order: what was said last counts, nothing is claimed meanwhile, and idle passes write nothing."""

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.model import Desired, Status
from reconciler.state import objects, open_store, requests, runs
from reconciler.suspending import ask_to_resume, ask_to_suspend
from tests.support.builders import PLACE, SECOND, a_run, a_workflow, desired
from tests.support.world import World

ECHO = a_workflow("echo", code=a_workflow("echo").code.__class__({}, "echo", "/srv"))
STEPS = st.lists(
    st.sampled_from(["suspend", "resume", "suspend workflow", "resume workflow", "manifest: suspend", "manifest: go", "pass", "redeploy"]),
    max_size=12,
)


def ask(world: World, verb: str, about: str) -> None:
    """Give a command, as the command line does after it has found the object."""
    store = open_store(world.folder)
    with store.transaction():
        kind, _, name = about.partition("/")
        found = objects.named(store, kind, name)
        if found and not found[0].status:
            call = {"suspend": ask_to_suspend, "resume": ask_to_resume}[verb]
            call(store, PLACE, about, declared=found[0].suspend, who="ana", why="", now=world.clock.at)
    store.close()


def status(world: World) -> str:
    store = open_store(world.folder)
    found = runs.status_of(store, PLACE, "a")
    store.close()
    return str(found)


def folder(*, suspend: bool, revision: str) -> Desired:
    return desired(a_workflow("echo", code=ECHO.code, revision=revision), a_run("a", workflow="echo", suspend=suspend))


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_what_was_said_last_counts_and_an_idle_pass_writes_nothing(steps: list[str]) -> None:
    with tempfile.TemporaryDirectory() as path:
        world = World(Path(path))
        model: dict[str, Any] = {"declared": True, "run": True, "workflow": False, "applied": True, "revision": 0}
        world.run_pass(folder(suspend=True, revision="0"))
        for step in [*steps, "pass"]:
            world.clock.at += SECOND
            over = status(world) == Status.COMPLETED
            if step in ("suspend", "resume"):
                ask(world, step, "run/a")
                model["run"] = step == "suspend"
            elif step.endswith("workflow"):
                ask(world, step.split()[0], "workflow/echo")
                model["workflow"] = step.startswith("suspend")
            elif step.startswith("manifest"):
                model["declared"] = step == "manifest: suspend"
            elif step == "redeploy":
                model["revision"] += 1
            if step in ("pass", "redeploy"):
                if model["declared"] != model["applied"]:
                    model["run"] = model["applied"] = model["declared"]  # the manifest's own field has changed: it counts
                want = folder(suspend=model["declared"], revision=str(model["revision"]))
                world.run_pass(want)
                held = not over and (model["run"] or model["workflow"])
                for _ in range(3):  # the end of a run is recorded, then nothing is left
                    world.run_pass(want)
                assert world.writes == 0
                assert status(world) == (Status.PENDING if held else Status.COMPLETED)


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_at_most_one_request_about_an_object_holds(steps: list[str]) -> None:
    with tempfile.TemporaryDirectory() as path:
        world = World(Path(path))
        world.run_pass(folder(suspend=True, revision="0"))
        for step in steps:
            if step in ("suspend", "resume"):
                ask(world, step, "run/a")
            elif step.endswith("workflow"):
                ask(world, step.split()[0], "workflow/echo")
            elif step in ("pass", "redeploy"):
                world.run_pass(folder(suspend=True, revision="0"))
        store = open_store(world.folder)
        standing = [asked.object for asked in requests.standing_requests(store)]
        store.close()

        assert len(standing) == len(set(standing))
