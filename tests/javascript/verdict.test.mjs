import assert from "node:assert/strict";
import fs from "node:fs";
import { after, test } from "node:test";

import { Bench, until } from "./support/bench.mjs";

const benches = [];
after(() => benches.forEach((bench) => bench.remove()));

const workflow = (body, more = "") => `async function workflow(input, ctx) { const { step, sleep, now, uuid, waitForSignal } = ctx; ${more} ${body} }`;
const BODY = "const a = await step('a', () => 1); const at = now(); await sleep('nap', 5); const b = await step('b', () => 2); return a + b;";

/** Carry a run out with one code, and return what is said of another. */
async function verdict(body, changed, { cut, settings } = {}) {
  const one = new Bench(workflow(body));
  benches.push(one);
  await one.run("u", { settings });
  const journal = `${one.prefix("u")}journal.jsonl`;
  if (cut !== undefined) fs.writeFileSync(journal, fs.readFileSync(journal, "utf8").split("\n").slice(0, cut).join("\n") + "\n");
  const before = [fs.readFileSync(journal), fs.readdirSync(one.path("runs")), fs.readdirSync(one.path("changed"))];
  one.change(changed.startsWith("async") ? changed : workflow(changed));
  const told = await one.worker().replay("u");

  assert.deepEqual([fs.readFileSync(journal), fs.readdirSync(one.path("runs")), fs.readdirSync(one.path("changed"))], before);
  return told;
}

test("the same code fits, and no step of it runs", async () => {
  const fits = await verdict(BODY, BODY.replace("() => 1", "() => process.exit(3)").replace("() => 2", "() => { throw new Error('ran'); }"));

  assert.deepEqual(fits, { fits: true, asked: 4, recorded: 4, difference: null, next: null, end: "returned" });
});

test("code that is changed does not fit, and the first difference is named", async () => {
  const cases = [
    [BODY.replace("'b'", "'c'"), 'the journal holds step "b" here, the code asked for step "c"'],
    [BODY.replace("await sleep('nap', 5);", ""), 'the journal holds sleep "nap" here, the code asked for step "b"'],
    ["await step('b', () => 2); " + BODY, 'the journal holds step "a" here, the code asked for step "b"'],
    [BODY.replace("await sleep('nap', 5);", "await waitForSignal('nap');"), 'the journal holds sleep "nap" here, the code asked for signal "nap"'],
    [BODY.replace("const at = now();", ""), 'the journal holds now "ty/now" here, the code asked for sleep "nap"'],
    [BODY.replace("const b = await", "const b ="), "the code returns another output than the recorded one"],
    [BODY.replace("a + b", "a * b"), "the code returns another output than the recorded one"],
    [BODY.replace("return a + b", "throw new RangeError('no')"), "the run completed, the code throws RangeError: no"],
    ["return step('a', () => 1);", 'the journal holds now "ty/now" here, the code did not ask for it'],
    [BODY.replace("return", "await new Promise(() => 0); return"), "the run has ended, the code has not"],
    [BODY.replace("const a = await step('a', () => 1); const at = now(); await", "const s = step('a', () => 1); const at = now(); const a = await s; await"), 'the journal holds now "ty/now" after 1 results, the code asked for it after 0'],
    ["async function other() {}", "workflow.js:1: no workflow found: expected `async function workflow(input, { step, sleep })`, alone or exported as module.exports, as default or under the name workflow"],
  ];
  for (const [changed, difference] of cases) {
    const told = await verdict(BODY, changed);

    assert.deepEqual([told.fits, told.difference, told.recorded], [false, difference, 4]);
  }
});

test("branches that are swapped do not fit", async () => {
  const told = await verdict("await Promise.all([step('a', () => 1), step('b', () => 2)]);", "await Promise.all([step('b', () => 2), step('a', () => 1)]);");

  assert.deepEqual([told.fits, told.difference], [false, 'the journal holds step "a" here, the code asked for step "b"']);
});

test("what the code would do beyond an unfinished journal is told", async () => {
  const told = await verdict(BODY, BODY.replace("'b'", "'c'"), { cut: 7 });

  assert.deepEqual(told, { fits: true, asked: 3, recorded: 3, difference: null, next: { kind: "step", key: "c" }, end: null });
});

test("a failed run fits code that throws, and none that returns", async () => {
  const failing = "await step('a', () => 1); throw new Error('x');";
  const settings = { retry: { max_attempts: 2, initial_interval_ms: 1 } };

  assert.deepEqual(await verdict(failing, failing.replace("'x'", "'y'"), { settings }), { fits: true, asked: 1, recorded: 1, difference: null, next: null, end: "threw" });
  assert.equal((await verdict(failing, "await step('a', () => 1); return 1;")).difference, "the run failed, the code returns");
});

test("a journal that several processes have written fits its code", async () => {
  const one = new Bench(workflow("await Promise.all([step('x', () => 1).then(() => step('y', () => new Promise(() => 0))), step('z', () => 2)]); return 1;"));
  benches.push(one);
  one.create("u");
  const journal = `${one.prefix("u")}journal.jsonl`;
  const worker = one.worker({ uid: "u" });
  worker.order("u");
  await until(() => one.of("u", "requested").length === 3);
  await worker.kill();
  // What a process leaves that is killed after both results and before the next request.
  fs.writeFileSync(journal, fs.readFileSync(journal, "utf8").split("\n").filter((line) => !line.includes('"key":"y"')).join("\n"));
  const next = workflow("await Promise.all([step('x', () => 1).then(() => step('y', () => 3)), step('z', () => 2)]); return 1;");
  one.change(next);
  const last = await one.resume("u");

  assert.equal(last.status, "completed");
  assert.deepEqual(one.of("u", "requested").map(({ key, after }) => [key, after]), [["x", 0], ["z", 0], ["y", 2]]);
  assert.deepEqual(await one.worker().replay("u"), { fits: true, asked: 3, recorded: 3, difference: null, next: null, end: "returned" });
});
