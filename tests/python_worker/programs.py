"""Random workflows: every seed is a program of branches, loops, repeated names, retries, caught failures, sleeps, signals, children, time and chance.

It is also the code of a workflow: the entry file of a worker imports `workflow` or `async_workflow`, and needs nothing else.
"""

import asyncio
import os
import random
import time
from typing import Any

NAMES = ["fetch", "store", "mail", "sum", "check"]


def generate(seed: int, *, is_async: bool) -> list[Any]:
    """Return the program of a seed: a list of operations, some of which hold lists."""
    chance = random.Random(seed)
    return _block(chance, 3, chance.randint(2, 6), is_async=is_async)


def _block(chance: random.Random, depth: int, length: int, *, is_async: bool) -> list[Any]:
    return [_operation(chance, depth, is_async=is_async) for _ in range(length)]


def _operation(chance: random.Random, depth: int, *, is_async: bool) -> tuple[Any, ...]:
    def inner(most: int) -> list[Any]:
        return _block(chance, depth - 1, chance.randint(1, most), is_async=is_async)

    choice = chance.randrange(55 if depth == 0 else 100)
    if choice < 12:
        return (
            _wait(chance)
            if choice < 4
            else ("values", chance.choice(("now", "random", "uuid", "patched")))
            if choice < 8
            else ("paid", chance.choice(NAMES))
        )
    if choice < 45:
        fails = chance.choice((0, 0, 0, 1, 2))
        attempts = fails if fails and chance.random() < 0.06 else fails + 1
        return ("step", chance.choice(NAMES), chance.choice((0, 0, 1, 3)), fails, attempts)
    if choice < 55:
        return ("sleep", chance.choice(NAMES), chance.randrange(6))
    if choice < 80:
        ways = ("all", "settled", "group", "race") if is_async else ("all",)
        return ("branches", chance.choice(ways), [inner(3) for _ in range(chance.randint(2, 4))])
    if choice < 87:
        return ("loop", chance.randint(1, 3), inner(2))
    if choice < 92:
        return ("if", inner(2), inner(2))
    return ("try", inner(3), inner(1))


def _wait(chance: random.Random) -> tuple[Any, ...]:
    if chance.random() < 0.7:
        return ("signal", chance.choice(NAMES[:2]), chance.choice((0, 2, 5)))
    return ("child", chance.choice(NAMES), chance.choice((2, 5)))


class _Machine:
    """What a running program knows."""

    def __init__(self, ctx: Any, given: dict[str, Any]) -> None:
        self.ctx, self.effects = ctx, given["effects"]
        self.log: list[Any] = []
        self.last: Any = 0

    def note(self, value: Any) -> None:
        self.last = value
        self.log.append(value)

    def effect(self, step: Any, fails: int, *under: Any) -> str:
        """Leave a line where the test looks, with what the effect is made `under`, and return what no other execution returns."""
        fd = os.open(self.effects, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC)
        os.write(fd, (" ".join(map(str, (step.key, step.attempt, *under))) + "\n").encode())
        os.close(fd)
        if step.attempt <= fails:
            message = f"failed {step.key} {step.attempt}"
            raise ValueError(message)
        return f"{step.key}:{os.urandom(3).hex()}"

    def value(self, kind: str) -> Any:
        """Return what a call gives that returns at once."""
        return self.ctx.patched(f"marker-{len(self.log)}") if kind == "patched" else getattr(self.ctx, kind)()

    def retry(self, attempts: int) -> dict[str, Any]:
        return {"max_attempts": attempts, "initial_interval": "2ms", "jitter": False}

    def even(self) -> bool:
        return ord(str(self.last)[-1]) % 2 == 0


def workflow(input: Any, ctx: Any) -> list[Any]:
    """Carry out the program of the input's seed, in threads."""
    machine = _Machine(ctx, input)
    _run(machine, generate(input["seed"], is_async=False))
    return machine.log


def _run(machine: _Machine, operations: list[Any]) -> Any:
    for operation in operations:
        _STEPS[operation[0]](machine, *operation[1:])
    return machine.last


def _step(machine: _Machine, name: str, ms: int, fails: int, attempts: int) -> None:
    def body(step: Any) -> str:
        time.sleep(ms / 1000)
        return machine.effect(step, fails)

    machine.note(machine.ctx.step(name, body, retry=machine.retry(attempts)))


def _paid(machine: _Machine, name: str) -> None:
    key, at = machine.ctx.uuid(), machine.ctx.now()
    machine.note(machine.ctx.step(name, lambda step: machine.effect(step, 0, key, at)))


def _values(machine: _Machine, kind: str) -> None:
    machine.note(machine.value(kind))


def _signal(machine: _Machine, name: str, ms: int) -> None:
    machine.note(machine.ctx.wait_for_signal(name, timeout=f"{ms}ms", approval=_approval(name, ms)))


def _approval(name: str, ms: int) -> dict[str, str] | None:
    """Return what a person is asked, in most waits."""
    return {"title": f"{name}?", "description": f"within {ms} ms"} if ms else None


def _child(machine: _Machine, name: str, ms: int) -> None:
    try:
        machine.note(machine.ctx.run_workflow("other", name=name, timeout=f"{ms}ms"))
    except Exception as error:
        machine.note(str(error))


def _sleep(machine: _Machine, name: str, ms: int) -> None:
    machine.ctx.sleep(name, f"{ms}ms")
    machine.note(name)


def _branches(machine: _Machine, _way: str, branches: list[Any]) -> None:
    machine.note(machine.ctx.parallel([lambda branch=branch: _run(machine, branch) for branch in branches]))


def _loop(machine: _Machine, times: int, body: list[Any]) -> None:
    for _ in range(times):
        _run(machine, body)


def _if(machine: _Machine, then: list[Any], otherwise: list[Any]) -> None:
    _run(machine, then if machine.even() else otherwise)


def _try(machine: _Machine, body: list[Any], handler: list[Any]) -> None:
    try:
        _run(machine, body)
    except ValueError as error:
        machine.note(f"{type(error).__name__}: {error}")
        _run(machine, handler)


_STEPS: dict[str, Any] = {"step": _step, "paid": _paid, "values": _values, "signal": _signal, "child": _child, "sleep": _sleep, "branches": _branches, "loop": _loop,
                          "if": _if, "try": _try}  # fmt: skip


async def async_workflow(input: Any, ctx: Any) -> list[Any]:
    """Carry out the program of the input's seed, in an event loop."""
    machine = _Machine(ctx, input)
    await _arun(machine, generate(input["seed"], is_async=True))
    return machine.log


async def _arun(machine: _Machine, operations: list[Any]) -> Any:
    for operation in operations:
        await _ASTEPS[operation[0]](machine, *operation[1:])
    return machine.last


async def _astep(machine: _Machine, name: str, ms: int, fails: int, attempts: int) -> None:
    async def later(step: Any) -> str:
        await asyncio.sleep(ms / 1000)
        return machine.effect(step, fails)

    def blocking(step: Any) -> str:
        return machine.effect(step, fails)

    machine.note(await machine.ctx.step(name, later if ms else blocking, retry=machine.retry(attempts)))


async def _apaid(machine: _Machine, name: str) -> None:
    key, at = machine.ctx.uuid(), machine.ctx.now()
    machine.note(await machine.ctx.step(name, lambda step: machine.effect(step, 0, key, at)))


async def _avalues(machine: _Machine, kind: str) -> None:
    machine.note(machine.value(kind))


async def _asignal(machine: _Machine, name: str, ms: int) -> None:
    machine.note(await machine.ctx.wait_for_signal(name, timeout=f"{ms}ms", approval=_approval(name, ms)))


async def _achild(machine: _Machine, name: str, ms: int) -> None:
    try:
        machine.note(await machine.ctx.run_workflow("other", name=name, timeout=f"{ms}ms"))
    except Exception as error:
        machine.note(str(error))


async def _asleep(machine: _Machine, name: str, ms: int) -> None:
    await machine.ctx.sleep(name, f"{ms}ms")
    machine.note(name)


async def _abranches(machine: _Machine, way: str, branches: list[Any]) -> None:
    runs = [_arun(machine, branch) for branch in branches]
    if way == "all":
        machine.note(await asyncio.gather(*runs))
    elif way == "settled":
        machine.note([str(result) for result in await asyncio.gather(*runs, return_exceptions=True)])
    elif way == "group":
        await _group(machine, runs)
    else:
        tasks = [asyncio.ensure_future(run) for run in runs]
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        machine.note(next(task for task in tasks if task in done).result())


async def _group(machine: _Machine, runs: list[Any]) -> None:
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(run) for run in runs]
    except BaseExceptionGroup as failures:
        message = f"group: {failures.exceptions[0]}"
        raise ValueError(message) from None
    machine.note([task.result() for task in tasks])


async def _aloop(machine: _Machine, times: int, body: list[Any]) -> None:
    for _ in range(times):
        await _arun(machine, body)


async def _aif(machine: _Machine, then: list[Any], otherwise: list[Any]) -> None:
    await _arun(machine, then if machine.even() else otherwise)


async def _atry(machine: _Machine, body: list[Any], handler: list[Any]) -> None:
    try:
        await _arun(machine, body)
    except ValueError as error:
        machine.note(f"{type(error).__name__}: {error}")
        await _arun(machine, handler)


_ASTEPS: dict[str, Any] = {"step": _astep, "paid": _apaid, "values": _avalues, "signal": _asignal, "child": _achild, "sleep": _asleep, "branches": _abranches,
                           "loop": _aloop, "if": _aif, "try": _atry}  # fmt: skip
