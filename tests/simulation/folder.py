"""The person who edits manifests: whole files, half-written ones, missing and empty folders, mistakes and their correction."""

import io
import json
import os
import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from reconciler.instants import stamp
from tests.support.world import HandClock

RUNS = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta")
WORKFLOWS = ("etl", "mail", "parent")
SCHEDULES = ("hourly", "often")
Doc = dict[str, Any]


@dataclass
class Folder:
    """A folder of manifests on disk, and what its person means it to say. `meant` holds every spec of a run that was ever wholly written."""

    path: Path
    clock: HandClock
    dice: random.Random
    files: dict[str, list[Doc]] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    twins: set[str] = field(default_factory=set)
    past: dict[str, list[Doc]] = field(default_factory=dict)
    meant: set[tuple[str, str, str]] = field(default_factory=set)
    armed: dict[str, datetime] = field(default_factory=dict)
    tokens: Counter[str] = field(default_factory=Counter)
    writer: tuple[str, io.BufferedWriter, bytes] | None = None
    away: str = ""
    written: int = 0

    def __post_init__(self) -> None:
        self.path.mkdir()
        for name in WORKFLOWS:
            self._put(f"{name}.yaml", [workflow(name, 0)])
        self._put("runs.yaml", [run(name, "etl", 0) for name in RUNS[:4]])

    # The edits, by name

    def add_run(self) -> str:
        free = [name for name in RUNS if self._find("Run", name) is None]
        if not free:
            return self.edit_input()
        name = self.dice.choice(free)
        doc = run(name, self.dice.choice(WORKFLOWS), self.dice.randrange(2))
        path = self.dice.choice([f"{name}.yaml", "runs.yaml"])
        return self._put(path, [*self.files.get(path, []), doc], how=self.dice.choice(("replace", "in place")))

    def remove_run(self) -> str:
        return self._drop("Run")

    def remove_workflow(self) -> str:
        return self._drop("Workflow")

    def add_workflow(self) -> str:
        free = [name for name in WORKFLOWS if self._find("Workflow", name) is None]
        return self._put(f"{free[0]}.yaml", [workflow(free[0], 0)]) if free else self.edit_code()

    def add_schedule(self) -> str:
        free = [name for name in SCHEDULES if self._find("Schedule", name) is None]
        if not free:
            return self.edit_schedule()
        how: Doc = {
            "timeZone": self.dice.choice(("UTC", "Europe/Berlin")),
            "overlap": self.dice.choice(("skip", "allow", "replace", "queue")),
            "catchUp": self.dice.choice(("none", "latest", "all")),
            "startDeadline": self.dice.choice(("10m", "3h")),
            "run": {"workflow": self.dice.choice(WORKFLOWS), "input": self.dice.randrange(2)},
        }
        return self._put(f"{free[0]}.yaml", [{"kind": "Schedule", "metadata": {"name": free[0]}, "spec": {"cron": "17 * * * *", **how}}])

    def edit_schedule(self) -> str:
        return self._edit("Schedule", lambda doc: doc["spec"].update(cron=self.dice.choice(("17 * * * *", "*/20 * * * *", "5 2 * * 1-5"))))

    def suspend_schedule(self) -> str:
        return self._edit("Schedule", lambda doc: doc["spec"].update(suspend=not doc["spec"].get("suspend", False)))

    def remove_schedule(self) -> str:
        return self._drop("Schedule")

    def edit_code(self) -> str:
        def change(doc: Doc) -> None:
            doc["spec"]["code"]["inline"] = f"def workflow(input, ctx): return {self.dice.randrange(3)}"

        return self._edit("Workflow", change)

    def edit_limits(self) -> str:
        return self._edit("Workflow", lambda doc: doc["spec"].update(concurrency={"limit": self.dice.randrange(1, 4)}))

    def edit_input(self) -> str:
        return self._edit("Run", lambda doc: doc["spec"].update(input=self.dice.randrange(3)))

    def edit_workflow_of_run(self) -> str:
        return self._edit("Run", lambda doc: doc["spec"].update(workflow=self.dice.choice(WORKFLOWS)))

    def suspend(self) -> str:
        return self._edit("Run", lambda doc: doc["spec"].update(suspend=not doc["spec"].get("suspend", False)))

    def cancel(self) -> str:
        return self._edit("Run", lambda doc: doc["spec"].update(cancel=not doc["spec"].get("cancel", False)))

    def rerun_token(self) -> str:
        def change(doc: Doc) -> None:
            self.tokens[doc["metadata"]["name"]] += 1
            doc["spec"]["rerun"] = f"again-{self.tokens[doc['metadata']['name']]}"

        return self._edit("Run", change)

    def depends_on(self) -> str:
        def change(doc: Doc) -> None:
            earlier = RUNS[: RUNS.index(doc["metadata"]["name"])]
            doc["spec"]["dependsOn"] = [f"run/{self.dice.choice(earlier)}"] if earlier and self.dice.random() < 0.8 else []

        return self._edit("Run", change)

    def priority(self) -> str:
        return self._edit("Run", lambda doc: doc["spec"].update(priority=self.dice.choice((0, 5, -3))))

    def on_change(self) -> str:
        return self._edit("Run", lambda doc: doc["spec"].update(onChange=self.dice.choice(("reject", "rerun"))))

    def on_delete(self) -> str:
        return self._edit("Run", lambda doc: doc["spec"].update(onDelete=self.dice.choice(("cancel", "finish", "orphan"))))

    def start_after(self) -> str:
        later = stamp(self.clock.now() + timedelta(seconds=self.dice.choice((-5, 30, 4000))))
        deadline = self.dice.choice(({}, {"startDeadline": "1m"}, {"startDeadline": "3h"}))
        return self._edit("Run", lambda doc: doc["spec"].update(startAfter=later, **deadline))

    def signal(self) -> str:
        return self._edit("Run", lambda doc: doc["spec"].update(signals={"go": self.dice.randrange(2)}))

    def label(self) -> str:
        return self._edit("Run", lambda doc: doc["metadata"].update(labels={"team": self.dice.choice(("red", "blue"))}))

    def move(self) -> str:
        """Move a file's documents to another file: nothing that is declared changes."""
        path = self._some_file()
        if path is None:
            return "nothing"
        self.written += 1
        target = f"moved/{self.written}.yaml"
        docs, broken = self.files.pop(path), self.broken.pop(path, "")
        (self.path / target).parent.mkdir(exist_ok=True)
        os.rename(self.path / path, self.path / target)
        self.files[target] = docs
        if broken:
            self.broken[target] = broken
        return f"{path} to {target}"

    def break_value(self) -> str:
        return self._break("value")

    def break_syntax(self) -> str:
        return self._break("syntax")

    def mend(self) -> str:
        if not self.broken or self.away:
            return "nothing"
        path = self.dice.choice(sorted(self.broken))
        del self.broken[path]
        return self._put(path, self.files[path])

    def duplicate(self) -> str:
        path = self._some_file()
        if path is None or not self.files[path]:
            return "nothing"
        twin = f"twin-{self.written}.yaml"
        self.twins.add(twin)
        return self._put(twin, [json.loads(json.dumps(self.files[path][0]))])

    def remove_duplicate(self) -> str:
        if not self.twins or self.away:
            return "nothing"
        twin = self.dice.choice(sorted(self.twins))
        self.twins.discard(twin)
        self._delete(twin)
        return twin

    def half_write(self) -> str:
        """Begin to write a file in place, and stop in the middle with the file open."""
        path = self._some_file()
        if path is None or self.writer is not None or path in self.broken:
            return "nothing"
        docs = json.loads(json.dumps(self.files[path]))
        for doc in docs:
            if doc["kind"] == "Run":
                doc["spec"]["input"] = self.dice.randrange(3)
        data = self._text(path, docs).encode()
        cut = self.dice.randrange(len(data))
        file = self._open(path)
        file.write(data[:cut])
        file.flush()
        self._stamp(path)
        self.writer = (path, file, data[cut:])
        self.files[path] = docs
        return f"{path} {cut}"

    def write_the_rest(self) -> str:
        if self.writer is None:
            return "nothing"
        path, file, rest = self.writer
        file.write(rest)
        file.close()
        self.writer = None
        self._stamp(path)
        self._mean(path)
        return path

    def empty(self) -> str:
        """Make a file empty in place, as writers do before they write it anew; the writer keeps it open."""
        path = self._some_file()
        if path is None or self.writer is not None or path in self.broken:
            return "nothing"
        data = self._text(path, self.files[path]).encode()
        file = self._open(path)
        file.flush()
        self._stamp(path)
        self.writer = (path, file, data)
        return path

    def take_away(self) -> str:
        """Take the whole folder away, or everything in it."""
        if self.away or self.writer is not None:
            return "nothing"
        self.away = self.dice.choice(("missing", "empty"))
        os.rename(self.path, self._aside())
        if self.away == "empty":
            self.path.mkdir()
        return self.away

    def bring_back(self) -> str:
        if not self.away:
            return "nothing"
        if self.away == "empty":
            self.path.rmdir()
        os.rename(self._aside(), self.path)
        self.away = ""
        return "back"

    def check_out(self) -> str:
        """Remember all files, or put back what was remembered, as `git revert` and `git checkout` do."""
        if self.away or self.writer is not None or self.broken or self.twins:
            return "nothing"
        if not self.past or self.dice.random() < 0.4:
            self.past = json.loads(json.dumps(self.files))
            return "remembered"
        for path in sorted(self.files.keys() - self.past.keys()):
            self._delete(path)
        for path, docs in sorted(self.past.items()):
            if self.files.get(path) != docs:
                (self.path / path).parent.mkdir(exist_ok=True)
                self._put(path, json.loads(json.dumps(docs)))
        return "put back"

    # What the observer asks

    @property
    def doubtful(self) -> bool:
        """Say whether what is there is not what is meant: nothing may be taken for removed now."""
        names = [(doc["kind"], doc["metadata"]["name"]) for docs in self.files.values() for doc in docs]
        return bool(self.away or self.broken or self.writer is not None or len(names) > len(set(names)))

    def docs(self, kind: str) -> dict[str, Doc]:
        """Return what is declared and can be read, by name."""
        return {doc["metadata"]["name"]: doc for path, docs in self.files.items() if path not in self.broken for doc in docs if doc["kind"] == kind}

    def runnable(self) -> list[str]:
        """Return the declared runs whose workflow is declared, and so is all that they depend on."""
        docs, workflows = self.docs("Run"), self.docs("Workflow")
        fine = {name for name, doc in docs.items() if doc["spec"]["workflow"] in workflows}
        while lost := {name for name in fine for other in docs[name]["spec"].get("dependsOn", ()) if other.removeprefix("run/") not in fine}:
            fine -= lost
        return sorted(fine)

    def settle(self) -> None:
        """Finish what is half done, and correct every mistake."""
        self.write_the_rest()
        self.bring_back()
        while self.broken:
            self.mend()
        while self.twins:
            self.remove_duplicate()

    # How it is done

    def _open(self, path: str) -> io.BufferedWriter:
        return open(self.path / path, "wb")  # it stays open until the rest is written

    def _aside(self) -> Path:
        return self.path.with_name("aside")

    def _some_file(self) -> str | None:
        busy = self.writer[0] if self.writer else ""
        files = sorted(path for path in self.files if path != busy and path not in self.twins)
        return self.dice.choice(files) if files and not self.away else None

    def _find(self, kind: str, name: str) -> str | None:
        return next((path for path, docs in self.files.items() for doc in docs if (doc["kind"], doc["metadata"]["name"]) == (kind, name)), None)

    def _pick(self, kind: str) -> tuple[str, int] | None:
        busy = self.writer[0] if self.writer else ""
        there = [
            (path, number)
            for path, docs in sorted(self.files.items())
            if path != busy and path not in self.broken and path not in self.twins
            for number, doc in enumerate(docs)
            if doc["kind"] == kind
        ]
        return self.dice.choice(there) if there and not self.away else None

    def _edit(self, kind: str, change: Any) -> str:
        found = self._pick(kind)
        if found is None:
            return "nothing"
        path, number = found
        docs = self.files[path]
        change(docs[number])
        return self._put(path, docs, how=self.dice.choice(("replace", "in place")))

    def _drop(self, kind: str) -> str:
        found = self._pick(kind)
        if found is None:
            return "nothing"
        path, number = found
        docs = [doc for at, doc in enumerate(self.files[path]) if at != number]
        if docs:
            return self._put(path, docs)
        self._delete(path)
        return path

    def _break(self, how: str) -> str:
        path = self._some_file()
        if path is None or path in self.broken or not self.files[path]:
            return "nothing"
        self.broken[path] = how
        return self._put(path, self.files[path])

    def _delete(self, path: str) -> None:
        self.files.pop(path)
        self.broken.pop(path, None)
        (self.path / path).unlink()

    def _put(self, path: str, docs: list[Doc], how: str = "replace") -> str:
        if self.away or (self.writer is not None and self.writer[0] == path):
            return "nothing"
        self.files[path] = docs
        target = self.path / path
        written = target.with_name(f".{target.name}.new") if how == "replace" else target
        written.write_text(self._text(path, docs))
        if written != target:
            os.replace(written, target)
        self._stamp(path)
        self._mean(path)
        return f"{path} {how}"

    def _text(self, path: str, docs: list[Doc]) -> str:
        text = "---\n".join(manifest(doc) for doc in docs)
        match self.broken.get(path):
            case "value":
                return text.replace("spec: {", 'spec: {"unknown": 1, ', 1)
            case "syntax":
                return text[: text.rindex("}")]
        return text

    def _stamp(self, path: str) -> None:
        """Date a file by the simulated clock; no two writes have the same instant."""
        self.written += 1
        instant = int(self.clock.now().timestamp() * 1000) * 1_000_000 + self.written
        os.utime(self.path / path, ns=(instant, instant))

    def _mean(self, path: str) -> None:
        """Remember what a file says now: with a wrong value in one document it says the others, with wrong syntax nothing."""
        for doc in {"": self.files[path], "value": self.files[path][1:], "syntax": []}[self.broken.get(path, "")]:
            if doc["kind"] == "Schedule":
                self.armed.setdefault(doc["metadata"]["name"], self.clock.now())
                self.meant.add((doc["metadata"]["name"], doc["spec"]["run"]["workflow"], json.dumps(doc["spec"]["run"]["input"])))
            if doc["kind"] == "Run":
                self.meant.add((doc["metadata"]["name"], doc["spec"]["workflow"], json.dumps(doc["spec"].get("input"))))


def workflow(name: str, number: int) -> Doc:
    code = {"inline": f"def workflow(input, ctx): return {number}"}
    cancel = {"grace": "10s", "cleanup": "60s"}
    timeout = {"timeout": "4h"} if name == "mail" else {}
    return {"kind": "Workflow", "metadata": {"name": name}, "spec": {"runtime": "python", "code": code, "cancel": cancel, **timeout}}


def run(name: str, of: str, value: int) -> Doc:
    return {"kind": "Run", "metadata": {"name": name}, "spec": {"workflow": of, "input": value}}


def manifest(doc: Doc) -> str:
    """Write a manifest; the spec is in braces, so that no part of it is a whole one."""
    head = f"apiVersion: ty-openworkflow/v1\nkind: {doc['kind']}\nmetadata: {json.dumps(doc['metadata'])}\n"
    return f"{head}spec: {json.dumps(doc['spec'])}\n"
