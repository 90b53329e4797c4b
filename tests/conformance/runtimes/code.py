"""The files of code that a worker loads for a case."""

import ast
import textwrap
from collections.abc import Iterable, Mapping

from tests.conformance.runtimes.cases import HERE, Case

RUNTIMES = {"node": "node", "threads": "python", "asyncio": "python"}
ENTRIES = {"node": "main.mjs", "threads": "main.py", "asyncio": "main.py"}
AWAITED = {"step", "sleep", "sleep_until", "wait_for_signal", "send_signal", "run_workflow"}
JAVASCRIPT = """import {{ tools }} from "./tools.mjs";
export async function workflow(input, calls) {{
  const {{ step, sleep, sleepUntil, waitForSignal, sendSignal, runWorkflow, now, random, uuid, patched, onCancel, run, NonRetryableError }} = calls;
  const {{ gate, outside, effect, crash, fail }} = tools(run.id);
{body}
}}
"""
PYTHON = """import asyncio
import json
import sys
from tools import {tools} as Tools
{define} workflow(input, ctx):
    tools = Tools(ctx.run.id)
    gate, outside, effect, crash, fail = tools.gate, tools.outside, tools.effect, tools.crash, tools.fail
{body}
"""


def alone(case: Case, front: str, *, then: bool = False) -> dict[str, str]:
    """Return the files of one case; `then` is its second version."""
    return {ENTRIES[front]: _module(case, front, case.then if then else case.code), **_tools(front)}


def together(cases: Iterable[Case], front: str) -> dict[str, str]:
    """Return the files of a worker that hosts runs of all these cases: the run's name says which one it is."""
    suffix = ENTRIES[front].removeprefix("main")
    modules = {f"{case.slug}{suffix}": _module(case, front, case.code) for case in cases}
    names = [path.removesuffix(suffix) for path in modules]
    return {ENTRIES[front]: _javascript_host(names) if front == "node" else _python_host(names, front), **modules, **_tools(front)}


def _tools(front: str) -> dict[str, str]:
    name = "tools.mjs" if front == "node" else "tools.py"
    return {name: (HERE / "tools" / name).read_text()}


def _javascript_host(names: list[str]) -> str:
    imports = [f'import {{ workflow as {name} }} from "./{name}.mjs";' for name in names]
    table = "\n".join([*imports, f"const cases = {{ {', '.join(names)} }};"])
    return f"{table}\nexport const workflow = (input, calls) => cases[calls.run.id](input, calls);\n"


def _python_host(names: list[str], front: str) -> str:
    table = "\n".join([*(f"import {name}" for name in names), f"cases = {{{', '.join(f'{name!r}: {name}.workflow' for name in names)}}}"])
    define, wait = ("async def", "await ") if front == "asyncio" else ("def", "")
    return f"{table}\n{define} workflow(input, ctx):\n    return {wait}cases[ctx.run.id](input, ctx)\n"


def _module(case: Case, front: str, code: Mapping[str, str]) -> str:
    if front == "node":
        return JAVASCRIPT.format(body=textwrap.indent(code["node"], "  "))
    if front == "threads":
        return PYTHON.format(tools="Tools", define="def", body=textwrap.indent(code["threads"], "    "))
    if "asyncio" in code:
        return PYTHON.format(tools="AsyncTools", define="async def", body=textwrap.indent(code["asyncio"], "    "))
    text = PYTHON.format(tools="AsyncTools", define="def", body=textwrap.indent(code["threads"], "    "))
    try:
        return asynchronous(text)
    except SyntaxError as error:
        error.add_note(f"in the Python code of case {case.name!r}")
        raise


def asynchronous(text: str) -> str:
    """Return synchronous workflow code as it is written with `async` and `await`."""
    tree = ast.parse(text)
    return ast.unparse(ast.fix_missing_locations(_Awaits().visit(tree)))


class _Awaits(ast.NodeTransformer):
    """Awaits the calls of `ctx`, and makes those functions asynchronous that await something of their own."""

    def __init__(self) -> None:
        self._awaiting: list[bool] = []

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        return node  # gives the awaitable

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        self._awaiting.append(False)
        self.generic_visit(node)
        if not (self._awaiting.pop() or node.name == "workflow"):
            return node
        awaiting = ast.AsyncFunctionDef(node.name, node.args, node.body, node.decorator_list, node.returns)
        vars(awaiting).setdefault("type_params", [])  # since Python 3.12
        return awaiting

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        match node.func:
            case ast.Attribute(ast.Name("ctx"), "parallel"):
                node.func = ast.Attribute(ast.Name("tools", ast.Load()), "parallel", ast.Load())
            case ast.Attribute(ast.Name("ctx"), name) if name in AWAITED:
                pass
            case ast.Name("outside"):
                pass
            case _:
                return node
        self._awaiting[-1] = True
        return ast.Await(node)
