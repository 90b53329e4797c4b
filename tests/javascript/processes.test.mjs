// What needs real processes: kills in clean-up, messages beside waits, handing over, full file systems.

import assert from "node:assert/strict";
import fs from "node:fs";
import { after, test } from "node:test";

import { Bench, until } from "./support/bench.mjs";

const benches = [];
after(() => benches.forEach((bench) => bench.remove()));

function bench(code) {
  benches.push(new Bench(code));
  return benches.at(-1);
}

const WAITING = `async function workflow(_, { step, waitForSignal, sleep, uuid, now }) {
  const nap = sleep("nap", 600);
  const got = [await waitForSignal("go"), uuid(), now() > 0];
  await nap;
  return [...got, await step("s", () => 1)];
}`;

test("a signal beside a sleep is taken in the process that waits, or by the next", async () => {
  const one = bench(WAITING);
  for (const uid of ["live", "parked"]) one.create(uid);
  const live = one.worker({ uid: "live" });
  live.order("live");
  await until(() => one.of("live", "requested").length === 2);
  one.send("live", { type: "signal", id: "1", name: "go", data: { n: 1 } });
  live.wake();
  await live.ended;
  await one.resume("parked", { parkAfterMs: 100 });
  const { type, waits, inbox } = one.last("parked");
  one.send("parked", { type: "signal", id: "1", name: "go", data: 2 });
  await one.resume("parked");

  assert.deepEqual([type, waits, inbox], ["parked", [{ key: "nap", kind: "sleep" }, { key: "go", kind: "signal", signal: "go" }], 0]);
  assert.deepEqual([one.last("live").output[0], one.last("parked").output[0]], [{ n: 1 }, 2]);
  assert.deepEqual([one.of("live", "claim").length, one.of("parked", "claim").length], [1, 2]);
  assert.match(one.of("live", "claim")[0].boot, /^[0-9a-f-]{36}$/);
});

test("a request for something outside is told at once, also beside short sleeps", async () => {
  const one = bench(`async function workflow(_, { runWorkflow, sleep }) {
    const child = runWorkflow("pay", { n: 1 });
    let done = false;
    child.then(() => (done = true));
    while (!done) await sleep("tick", 20);
    return child;
  }`);
  one.create("u");
  const worker = one.worker({ uid: "u" });
  worker.order("u");
  await until(() => one.of("u", "claim").length === 1);
  await until(() => one.of("u", "requested").length >= 1 && fs.existsSync(one.path("changed/u")));
  one.send("u", { type: "child", id: "1", key: "pay", run: "c", status: "completed", output: 5 });
  worker.wake();
  await worker.ended;

  assert.equal(one.last("u").output, 5);
});

test("a worker that is killed in the middle of clean-up is replaced, and nothing recorded is undone twice", async () => {
  const one = bench(`const fs = require("fs");
    async function workflow(_, { step, run }) {
      const mark = (text) => fs.appendFileSync(run.folder + "/undone", text + "\\n");
      const pause = () => new Promise((resolve) => setTimeout(resolve, 15));
      for (let i = 0; i < 12; i++) await step("s" + i, () => i, { compensate: async (value, { key, attempt }) => { mark(value); await pause(); } });
      throw new Error("undo it all");
    }`);
  one.create("u");
  const cleaned = () => one.of("u", "completed").filter(({ key }) => key.includes("~")).length;
  for (const enough of [2, 5, 9]) {
    const worker = one.worker({ uid: "u" });
    worker.order("u");
    await until(() => cleaned() >= enough);
    await worker.kill();
    const journal = `${one.prefix("u")}journal.jsonl`;
    fs.truncateSync(journal, fs.readFileSync(journal).lastIndexOf(10) + 1);
  }
  const last = await one.resume("u");
  const undone = fs.readFileSync(`${one.prefix("u")}files/undone`, "utf8").trim().split("\n").map(Number);

  assert.deepEqual([last.status, last.error.message, cleaned()], ["failed", "undo it all", 12]);
  assert.deepEqual([...new Set(undone)], [11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0]);
  assert.ok(undone.length - 12 <= one.of("u", "started").length);
  assert.equal(one.of("u", "ending").length, 1);
});

test("handing over lets every run but one go on elsewhere", async () => {
  const one = bench("async function workflow(input, { step, waitForSignal }) { await step('a', () => 1); return waitForSignal('go'); }");
  const worker = one.worker({ capacity: 3, lingerMs: 60_000 });
  for (const uid of ["a", "b", "c"]) {
    one.create(uid, null, { cancel: { grace_ms: 20 } });
    worker.order(uid);
  }
  await until(() => ["a", "b", "c"].every((uid) => one.of(uid, "requested").length === 2));
  worker.handOver("b");
  await until(() => ["a", "c"].every((uid) => one.last(uid).type === "released"));
  one.create("d");
  worker.order("d");
  one.send("b", { type: "signal", id: "1", name: "go", data: "kept" });
  worker.wake();

  assert.equal(await worker.ended, 0);
  assert.deepEqual(["a", "c"].map((uid) => one.last(uid).reason), ["handed-over", "handed-over"]);
  assert.deepEqual([one.last("b").output, one.of("b", "claim").length, one.of("d", "claim").length], ["kept", 1, 0]);
});

test("an order may say how the claim before has ended, and the claim repeats it", async () => {
  const one = bench("async function workflow(_, { step }) { await step('a', () => new Promise((r) => setTimeout(r, 60_000)), { retry: { maxAttempts: 1 } }); }");
  one.create("u");
  const worker = one.worker({ uid: "u" });
  worker.order("u");
  await until(() => one.of("u", "requested").length === 1);
  await worker.kill();
  const next = one.worker({ uid: "u" });
  next.order("u", 2, "no-space");
  await until(() => one.of("u", "started").length === 1);
  await next.kill();
  const { error } = await one.resume("u");

  assert.deepEqual(one.of("u", "claim").map(({ before }) => before), [undefined, "no-space", undefined]);
  assert.deepEqual([error.name, error.message], ["CrashError", 'step "a" failed: its worker died during try 2, and no try is left']);
});

test("stacks show the lines of the user only", async () => {
  const one = bench(`async function workflow(_, { step, now }) {
    const names = [];
    for (const act of [() => step("a", () => { throw new TypeError("mine"); }, { retry: { maxAttempts: 1 } }), () => step("b", () => "x".repeat(99)), () => step("c", () => NaN)]) {
      await act().catch(({ stack }) => names.push(stack));
    }
    return names;
  }`);
  const { output } = await one.run("u", { settings: { limits: { value: 50_000 } } });
  const large = bench("async function workflow(_, { step }) { await step('b', () => 'x'.repeat(99)); }");
  const { error } = await large.run("u", { settings: { limits: { value: 50 } } });
  const broken = bench({ "a.mjs": "import './b.mjs'; export default () => 1;", "b.mjs": "throw new RangeError('at load');" });
  const failed = (await broken.run("u")).error;

  for (const stack of [...output, error.stack, failed.stack, failed.cause.stack]) assert.doesNotMatch(stack, /runtimes\/javascript|node:internal/);
  assert.match(output[0], /^TypeError: mine\n    at .*workflow\.js:3:/);
  assert.match(failed.cause.stack, /b\.mjs:1:7/);
});

test("a journal that outgrows its limit ends the run, after a warning", async () => {
  const one = bench("async function workflow(_, { step }) { for (let i = 0; i < 100; i++) await step('s', () => 'x'.repeat(200)); }");
  const { error } = await one.run("u", { settings: { limits: { journal: 10_000 } } });

  assert.equal(error.message, "the journal is larger than 10000 bytes (limits.journal)");
  assert.deepEqual(one.of("u", "warning").map(({ code, message }) => [code, message]), [["limit", "the journal is larger than 80 % of 10000 bytes (limits.journal)"]]);
});

test("a workflow has all its calls, however it takes them", async () => {
  const texts = [
    "async function workflow(input, ctx) { return typeof ctx.uuid(); }",
    "async function workflow(input, { step, ...rest }) { return typeof rest.uuid(); }",
    "async function workflow(input, { step: s, uuid: u }) { return typeof u(); }",
    "async function workflow(input, { step, sleep }) { return typeof arguments[1].uuid(); }",
    "const workflow = (input, calls) => typeof calls.uuid();",
    "const inner = (input, { uuid }) => typeof uuid(); const workflow = inner.bind(null);",
  ];
  for (const text of texts) assert.equal((await bench(text).run("u")).output, "string");
});

test("a file system without space ends the claim, by a record or else by the sticky bit of the lock", async () => {
  // Lines that are longer than the variable says find no space from the second result on.
  const preload = `const fs = require("fs"); const write = fs.writeSync; let results = 0;
    fs.writeSync = (fd, line, ...rest) => {
      if (String(line).includes('"type":"completed"')) results += 1;
      if (results > 1 && String(line).length > Number(process.env.SPACE)) throw Object.assign(new Error("no space"), { code: "ENOSPC" });
      return write(fd, line, ...rest);
    };`;
  for (const [space, sticky] of [["170", false], ["0", true]]) {
    const one = bench({ "w.js": "async function workflow(_, { step }) { for (let i = 0; i < 9; i++) await step('s', () => 'x'.repeat(200)); }", "full.cjs": preload });
    one.create("u");
    const worker = one.worker({ uid: "u", env: { SPACE: space, NODE_OPTIONS: `--require=${one.path("code/full.cjs")}` } });
    worker.order("u");

    assert.equal(await worker.ended, 0);
    assert.deepEqual([one.last("u").type, one.last("u").reason], sticky ? ["requested", undefined] : ["released", "no-space"]);
    assert.equal((fs.statSync(`${worker.folder}/lock`).mode & 0o1000) !== 0, sticky);
    assert.equal((await one.resume("u")).status, "completed");
  }
});
