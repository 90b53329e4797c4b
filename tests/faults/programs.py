"""Workflows that tell an observer outside of the process what they do, and how to read what he was told.

They write into `side`, in the folder of their run, one line and one write each: `asked NAME` before the workflow calls a step, `effect KEY TRY`
when the body of the step begins, and `released NAME VALUE` when the workflow has got the result.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reconciler.journal import accepted, decode_lines, whole_length

RETRY_MS = 5
_PYTHON = """\
import json, os, time

def tell(ctx, text):
    fd = os.open(ctx.run.folder + "/side", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(fd, (text + "\\n").encode())
    os.close(fd)

def do(ctx, name, value, fails=0, lasts=0):
    moment = ctx.now() if hasattr(ctx, "now") else 0
    chance = ctx.uuid() if hasattr(ctx, "uuid") else ""
    def body(step):
        tell(ctx, f"effect {step.key} {step.attempt} {moment} {chance}")
        if lasts:
            step.signal.wait(lasts) if step.signal else time.sleep(lasts)
        if step.attempt <= fails:
            raise ValueError("not yet")
        return value
    tell(ctx, f"asked {name} ")
    result = ctx.step(name, body, retry={"initial_interval": RETRY, "jitter": False, "max_attempts": 100})
    tell(ctx, f"released {name} {json.dumps(result)}")
    return result
""".replace("RETRY", str(RETRY_MS / 1000))
_JAVASCRIPT = """\
const fs = require("node:fs");

function tell(run, text) {
  fs.appendFileSync(`${run.folder}/side`, `${text}\\n`);
}

async function act({ run, step, now, uuid }, name, value, fails = 0, lasts = 0) {
  const moment = now ? now() : 0;
  const chance = uuid ? uuid() : "";
  tell(run, `asked ${name} `);
  const result = await step(name, async ({ key, attempt, signal }) => {
    tell(run, `effect ${key} ${attempt} ${moment} ${chance}`);
    if (lasts) {
      await new Promise((done) => {
        const timer = setTimeout(done, lasts * 1000);
        signal.addEventListener("abort", () => { clearTimeout(timer); done(); });
      });
    }
    if (attempt <= fails) throw new RangeError("not yet");
    return value;
  }, { retry: { initialInterval: RETRY, jitter: false, maxAttempts: 100 } });
  tell(run, `released ${name} ${JSON.stringify(result)}`);
  return result;
}
""".replace("RETRY", str(RETRY_MS))
EXTENSION = {"python": "main.py", "node": "main.js", "asyncio": "main.py"}


@dataclass(frozen=True)
class Program:
    """One workflow in both languages, what it returns, and the settings that it runs under."""

    python: str
    javascript: str
    output: Any
    status: str = "completed"
    settings: Mapping[str, Any] | None = None

    def code(self, language: str) -> dict[str, str]:
        """Return its files."""
        if language == "node":
            return {"main.js": f"{_JAVASCRIPT}\n{self.javascript}"}
        return {"main.py": f"{_PYTHON}\n{self.python}"}


THIRTY = Program(
    """\
def workflow(input, ctx):
    got = [do(ctx, f"a{n}", n * n) for n in range(8)]
    ctx.sleep("nap", 0.003)
    def branch(b):
        return lambda: [do(ctx, f"p{b}-{n}", [b, n]) for n in range(3)]
    got += ctx.parallel(*[branch(b) for b in range(5)])
    got.append(do(ctx, "again", "at last", fails=1))
    ctx.sleep("doze", 0.003)
    return got + [do(ctx, f"z{n}", {"n": n, "text": "grüße"}) for n in range(6)]
""",
    """\
async function workflow(input, api) {
  const got = [];
  for (let n = 0; n < 8; n++) got.push(await act(api, `a${n}`, n * n));
  await api.sleep("nap", 3);
  const branch = async (b) => {
    const mine = [];
    for (let n = 0; n < 3; n++) mine.push(await act(api, `p${b}-${n}`, [b, n]));
    return mine;
  };
  got.push(...(await Promise.all([0, 1, 2, 3, 4].map(branch))));
  got.push(await act(api, "again", "at last", 1));
  await api.sleep("doze", 3);
  for (let n = 0; n < 6; n++) got.push(await act(api, `z${n}`, { n, text: "grüße" }));
  return got;
}
""",
    [n * n for n in range(8)] + [[[b, n] for n in range(3)] for b in range(5)] + ["at last"] + [{"n": n, "text": "grüße"} for n in range(6)],
)


@dataclass(frozen=True)
class Told:
    """What an observer was told: the effects (key, try), and the results that the workflow has got (name, JSON)."""

    effects: list[tuple[str, int]]
    released: list[tuple[str, Any]]

    @classmethod
    def of(cls, side: bytes) -> "Told":
        """Read a side file. The values of `now` and `uuid` at a step are part of its identity: they may not change."""
        effects, released = [], []
        identity: dict[str, str] = {}
        for line in side.decode().splitlines():
            kind, key, rest = line.split(" ", 2)
            if kind == "effect":
                number, seen = rest.split(" ", 1)
                assert identity.setdefault(key, seen) == seen, f"the effect of {key} was seen under two keys: {identity[key]} and {seen}"
                effects.append((key.partition("/")[2], int(number)))
            elif kind == "released":
                released.append((key, json.loads(rest)))
        return cls(effects, released)


def history_of(journal: bytes) -> list[Mapping[str, Any]]:
    """Return the accepted records. Raises DamagedError."""
    return accepted(decode_lines(journal))[0]


def results_of(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the values of completed steps."""
    steps = {record["key"] for record in records if record["type"] == "requested" and record["kind"] == "step"}
    return {record["key"]: record["value"] for record in records if record["type"] == "completed" and record["key"] in steps and "value" in record}


def check_recovered(journal: bytes, side: bytes, where: str) -> dict[str, Any]:
    """Check what a crash left: whatever was released is recorded (I2), and nothing is damaged (I4). Returns the recorded results."""
    results = results_of(history_of(journal))
    for name, value in Told.of(side).released:
        assert name in results, f"{where}: the result of {name} was released, and is lost"
        assert results[name] == value, f"{where}: {name} was released as {value!r}, and is recorded as {results[name]!r}"
    return results


def check_end(program: Program, before: tuple[bytes, bytes], after: tuple[bytes, bytes], where: str, *, lost: bool = False) -> None:
    """Check a run that was resumed until its end. `before` and `after` are journal and side file; `lost`: unsynced records may be gone."""
    recorded = results_of(history_of(before[0]))
    told_before, told = Told.of(before[1]), Told.of(after[1])
    assert after[0].startswith(before[0][: whole_length(before[0])]) and after[1].startswith(before[1]), where  # I4
    again = {key for key, _ in told.effects[len(told_before.effects) :]} & (recorded.keys() | {name for name, _ in told_before.released})
    assert not again, f"{where}: {again} had a result and ran again"  # I1

    records, skipped = accepted(decode_lines(after[0]))
    assert (skipped, whole_length(after[0])) == (0, len(after[0])), f"{where}: {after[0].decode(errors='replace')}"
    assert [record["type"] for record in records].count("finished") == 1 and records[-1]["type"] == "finished", where  # I5
    end = records[-1]
    assert end["status"] == program.status, f"{where}: {end}"
    if program.status == "completed":
        assert end["output"] == program.output, f"{where}: {end['output']}"
    results = results_of(records)
    assert recorded.items() <= results.items(), where
    for name, value in told.released:
        assert results[name] == value, f"{where}: {name} was {results[name]!r} and {value!r}"  # I3
    if not lost:
        check_counts(records, told, where)


def check_counts(records: Sequence[Mapping[str, Any]], told: Told, where: str) -> None:
    """Check I14: a body runs once for each recorded try, and only those tries may lack their body that a death cut off."""
    tries = Counter((record["key"], record["try"]) for record in records if record["type"] in ("requested", "started") and "try" in record)
    settled = Counter(
        (record["key"], record["try"]) for record in records if record["type"] in ("completed", "failed", "retrying") and "try" in record
    )
    effects = Counter(told.effects)
    assert not effects - tries, f"{where}: {effects - tries} ran without a record"
    assert not settled - effects, f"{where}: {settled - effects} have a result and never ran"
    assert set(tries.values()) <= {1} or any(record["type"] == "body.failed" for record in records), where
