"""Finding and loading the code of a user."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.python_worker.conftest import MakeBench
from tests.support.workers import Bench

EXPECTED = "expected `def workflow(input, ctx)` or `async def workflow(input, ctx)`"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\ndef other(): pass\n", f"main.py:1: no workflow found: {EXPECTED}; it defines other"),
        ("workflow = 5\n", f"main.py:1: no workflow found: {EXPECTED}"),
        ("\n\ndef workflow(input): pass\n", f"main.py:3: the workflow cannot be called with (input, ctx): {EXPECTED}"),
        ("x = 1\ndef workflow(input, ctx)\n    pass\n", f"main.py:2: SyntaxError: expected ':'; {EXPECTED}"),
        ("\tx = 1\n y = 2\n", "main.py:1: IndentationError: unexpected indent"),
        ("\nimport nowhere_to_be_found\n", "main.py:2: ModuleNotFoundError: No module named 'nowhere_to_be_found'"),
        ("import sys\nsys.exit(3)\n", "main.py:2: SystemExit: 3"),
        ("def f():\n    return 1 / 0\nf()\n", "main.py:2: ZeroDivisionError: division by zero"),
        ("import inner\n", "inner.py:2: ZeroDivisionError: division by zero"),
        ("import broken\n", "broken.py:1: SyntaxError:"),
    ],
)
def test_code_that_cannot_be_loaded_fails_the_run_with_file_and_line(bench: MakeBench, text: str, message: str) -> None:
    made = bench(text, inner="\n1 / 0\n", broken="def\n")
    error = made.run("u", settings={"retry": {"max_attempts": 3}}).finished["error"]  # type: ignore[index]

    assert error["name"] == "LoadError"
    assert error["message"].startswith(message)


def test_an_entry_that_is_missing(bench: MakeBench) -> None:
    made = bench("")
    (made.folder / "code/main.py").unlink()

    assert made.run("u").finished["error"]["message"] == "main.py: there is no such file in the code"  # type: ignore[index]


NAMES = ["journal", "engine", "worker", "host", "calls", "steps", "errors", "lines", "run", "api", "front", "code"]


def test_modules_of_the_user_may_have_the_names_of_ours(bench: MakeBench) -> None:
    made = bench(
        f"import {', '.join(NAMES)}\ndef workflow(input, ctx):\n    return [{', '.join(f'{name}.WHO' for name in NAMES)}]\n",
        **dict.fromkeys(NAMES, "WHO = 'user'\n"),
    )

    assert made.run("u").finished["output"] == ["user"] * len(NAMES)  # type: ignore[index]


@pytest.mark.parametrize(
    "entry",
    ["journal.py", "worker.py", "ty_worker.py", "os.py", "sub/flow.py", "test/flow.py", "with-dash.py", "noending", "json.py", "pkg/__init__.py"],
)
def test_an_entry_may_have_any_name(bench: MakeBench, entry: str) -> None:
    made = bench("import helper, os\ndef workflow(input, ctx):\n    return [helper.WHO, os.getcwd()]\n", entry=entry, helper="WHO = 'helper'\n")

    assert made.run("u").finished["output"] == ["helper", str(made.folder / "code")]  # type: ignore[index]


def test_the_code_may_be_a_package(bench: MakeBench) -> None:
    made = bench(
        "from .inner import NAME\ndef workflow(input, ctx):\n    return [NAME, __name__]\n",
        entry="etl/main.py",
        etl____init__="",
        etl__inner="NAME = 'inner'\n",
    )

    assert made.run("u").finished["output"] == ["inner", "etl.main"]  # type: ignore[index]


def test_paths_come_after_the_code_and_before_the_interpreter(bench: MakeBench, tmp_path: Path) -> None:
    made = bench("import both, dependency\ndef workflow(input, ctx):\n    return [both.WHO, dependency.WHO]\n", both="WHO = 'code'\n")
    packages = tmp_path / "deps"
    packages.mkdir()
    for name in ("both", "dependency"):
        (packages / f"{name}.py").write_text("WHO = 'path'\n")
    made.create("u")
    worker = _with_paths(made, [str(packages)])

    assert worker.finished["output"] == ["code", "path"]


def _with_paths(made: Bench, paths: list[str]) -> Any:
    """Carry a run out in a worker whose `hello` names `paths`."""
    from reconciler.journal import decode_lines, encode_line

    worker = made.spawn(uid="u")
    orders = worker.folder / "orders"
    hello = {**decode_lines(orders.read_bytes())[0], "paths": paths}
    worker.kill()
    worker.wait()
    worker = made.spawn(uid="u")
    (worker.folder / "orders").write_bytes(encode_line({**hello, "worker": worker.id}))
    worker.order("u", 1)
    worker.wait()
    return made.history("u")


def test_packages_of_the_interpreter_are_found_and_cost_others_nothing(bench: MakeBench) -> None:
    made = bench("""
import sys
before = "site" in sys.modules
try:
    import nowhere
except ModuleNotFoundError:
    pass
def workflow(input, ctx):
    return [before, "site" in sys.modules, any(path.endswith("-packages") for path in sys.path), sys.path[0]]
""")
    before, after, packages, first = made.run("u").finished["output"]  # type: ignore[index]

    assert (before, after, packages) == (False, True, True)
    assert first == str(made.folder / "code")


def test_the_snapshot_is_not_written_to(bench: MakeBench) -> None:
    made = bench("import helper\ndef workflow(input, ctx):\n    return 1\n", helper="")
    made.run("u")

    assert sorted(os.listdir(made.folder / "code")) == ["helper.py", "main.py"]


def test_functions_of_the_entry_can_be_sent_to_other_processes(bench: MakeBench) -> None:
    made = bench("""
import multiprocessing
def square(n):
    return n * n
def workflow(input, ctx):
    def body():
        with multiprocessing.get_context(input).Pool(2) as pool:
            return pool.map(square, [1, 2, 3])
    return ctx.step("pool", body)
""")
    for method in ("fork", "spawn", "forkserver"):
        assert made.run(method, method).finished["output"] == [1, 4, 9], method  # type: ignore[index]


@pytest.mark.skipif(sys.platform != "linux", reason="signal.alarm in the main thread is what is tested")
def test_a_body_alone_in_its_worker_runs_in_the_main_thread(bench: MakeBench) -> None:
    made = bench("""
import signal, time
def workflow(input, ctx):
    def stop(number, frame): raise TimeoutError("alarm")
    def body():
        signal.signal(signal.SIGALRM, stop)
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        time.sleep(5)
    try:
        ctx.step("s", body, retry={"max_attempts": 1})
    except TimeoutError as error:
        return str(error)
""")

    assert made.run("u").finished["output"] == "alarm"  # type: ignore[index]
