import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { test } from "node:test";

import { Process, Storage, beforeEnd, carryOut, cutAfter, until } from "./support/memory.mjs";

const DAY = 86_400_000;
const last = (storage) => storage.records.at(-1);

test("a sleep never ends before its instant", async () => {
  const storage = await carryOut(async (_, { sleep }) => {
    for (let turn = 0; turn < 30; turn++) await sleep("a", 1 + (turn % 3));
  });
  const ends = new Map(storage.of("completed").map(({ key, at }) => [key, at]));

  for (const { key, until } of storage.of("requested")) assert.ok(ends.get(key) >= until);
});

test("a sleep longer than 2^31 ms waits", async () => {
  const one = new Process(new Storage(), (_, { sleep }) => sleep("long", "60d"), { parkAfter: 90 * DAY });
  await until(() => one.storage.of("requested").length === 1);
  await delay(30);

  const [request] = one.storage.of("requested");
  assert.equal(Math.round((Date.parse(request.until) - Date.now()) / DAY), 60);
  assert.equal(one.storage.of("completed").length, 0);
  one.kill();
});

test("an open sleep goes on until its recorded instant", async () => {
  const workflow = (_, { sleep }) => sleep("a", 80);
  const first = new Process(new Storage(), workflow);
  await until(() => first.storage.of("requested").length === 1);
  first.kill();
  const storage = cutAfter(first.storage, first.storage.records.length);
  await carryOut(workflow, { storage });

  const [{ until: due }] = storage.of("requested");
  const late = Date.parse(storage.of("completed")[0].at) - Date.parse(due);
  assert.ok(late >= 0 && late < 40, `${late} ms late`);
});

test("a run whose calls all wait for long parks, and says for what", async () => {
  const workflow = async (_, { step, sleep }) => {
    await Promise.all([sleep("b", "2h"), sleep("a", "1h"), step("s", () => { throw new Error("x"); }, { retry: { initialInterval: "3h", maxInterval: "4h", jitter: false } })]);
  };
  const storage = await carryOut(workflow, { parkAfter: 1000 });
  const { type, until, waits } = last(storage);

  assert.equal(type, "parked");
  assert.equal(until, storage.of("requested").find(({ key }) => key === "a").until);
  assert.deepEqual(waits, [{ key: "b", kind: "sleep" }, { key: "a", kind: "sleep" }, { key: "s", kind: "retry" }]);
});

test("a step in flight keeps the process, and so does something foreign", async () => {
  let pending = true;
  const workflow = async (_, { step, sleep }) => {
    sleep("long", "1h");
    await step("s", () => delay(60));
    await delay(60);
    pending = false;
    await step("t", () => 1);
    await sleep("other", "1h");
  };
  const storage = await carryOut(workflow, { parkAfter: 1000, foreign: () => pending });

  assert.deepEqual(storage.of("completed").map(({ key }) => key), ["s", "t"]);
  assert.equal(last(storage).type, "parked");
});

test("a sleep that is due in time is waited for beside a longer one", async () => {
  const storage = await carryOut(async (_, { sleep }) => Promise.race([sleep("long", "1h"), sleep("short", 30)]), { parkAfter: 1000 });

  assert.equal(storage.finished.status, "completed");
});

test("the body is tried again with what it has completed as a memo", async () => {
  const ran = [];
  const workflow = async (_, { step, sleep }) => {
    const a = await step("a", () => ran.push("a"));
    await sleep("w", 1);
    const failed = await step("f", () => { throw new Error(`f${ran.push("f")}`); }, { retry: { maxAttempts: 1 } }).catch(({ message }) => message);
    if (ran.length < 4) throw new Error("not yet");
    return [a, failed];
  };
  const order = { settings: { retry: { max_attempts: 3, initial_interval_ms: 1, jitter: false } } };
  const storage = await carryOut(workflow, { order });
  const replayed = beforeEnd(storage);
  await carryOut(workflow, { storage: replayed });

  assert.deepEqual(ran, ["a", "f", "f", "f"]);
  assert.deepEqual(storage.finished.output, [1, "f4"]);
  assert.deepEqual(replayed.finished.output, [1, "f4"]);
  assert.deepEqual(storage.of("body.failed").map(({ attempt }) => attempt), [1, 2]);
  assert.equal(storage.of("requested").filter(({ key, memo }) => key === "a" && memo).length, 2);
  assert.equal(storage.of("requested").filter(({ key, until }) => key === "w" && until).length, 1);
});

test("a body that fails too often, or for good, fails the run", async () => {
  const order = { settings: { retry: { max_attempts: 2, initial_interval_ms: 1 } } };
  const often = await carryOut(() => { throw new RangeError("no"); }, { order });
  const forGood = await carryOut((_, { NonRetryableError }) => { throw new NonRetryableError("never"); }, { order });

  assert.deepEqual([often.of("body.failed").length, often.finished.status, often.finished.error.name], [1, "failed", "RangeError"]);
  assert.deepEqual([forGood.of("body.failed").length, forGood.finished.error.message], [0, "never"]);
});

test("a long pause after a failed body parks the run", async () => {
  const order = { settings: { retry: { max_attempts: 2, initial_interval_ms: DAY, max_interval_ms: DAY, jitter: false } } };
  const storage = await carryOut(() => { throw new Error("x"); }, { order, parkAfter: 1000 });

  assert.equal(last(storage).type, "parked");
  assert.equal(last(storage).until, storage.of("body.failed")[0].retry_at);
});

test("an order can carry a memo", async () => {
  const order = { memo: [{ key: "a", kind: "step", value: 7 }] };
  const storage = await carryOut((_, { step }) => step("a", () => 1), { order });

  assert.equal(storage.finished.output, 7);
});

test("cancel is acknowledged before the signals fire, and no step starts after it", async () => {
  const seen = [];
  const one = new Process(new Storage(), async (_, { step }) => {
    await step("a", ({ signal }) => new Promise((resolve) => signal.addEventListener("abort", () => resolve(seen.push(last(one.storage).type)))));
    await step("b", () => seen.push("b"));
  });
  await until(() => one.storage.of("requested").length === 1);
  one.send({ type: "cancel", reason: "enough" });
  await one.ended;

  assert.deepEqual(seen, ["canceling"]);
  assert.deepEqual(one.storage.records.slice(-3).map(({ type }) => type), ["canceling", "completed", "finished"]);
  assert.deepEqual([one.storage.finished.status, one.storage.finished.reason], ["canceled", "enough"]);
  assert.equal(one.storage.of("canceling")[0].inbox, 1);
});

test("a canceled run that lost its process starts nothing and ends", async () => {
  const first = new Process(new Storage({ settings: { cancel: { grace_ms: 1e6 } } }), (_, { step }) => step("a", () => new Promise(() => undefined)));
  await until(() => first.storage.of("requested").length === 1);
  first.send({ type: "cancel", reason: "enough" });
  await until(() => first.storage.of("canceling").length === 1);
  first.kill();
  const ran = [];
  const storage = await carryOut((_, { step }) => step("a", () => ran.push(1)), { storage: first.storage });

  assert.deepEqual([ran, storage.finished.status], [[], "canceled"]);
});

test("a suspended run lets the step in flight end, and goes on elsewhere", async () => {
  const workflow = async (_, { step }) => [await step("a", () => delay(20).then(() => 1)), await step("b", () => 2)];
  const one = new Process(new Storage(), workflow);
  await until(() => one.storage.of("requested").length === 1);
  one.run.suspend();
  await one.ended;

  assert.deepEqual(one.storage.records.slice(-2).map(({ type, reason }) => [type, reason]), [["completed", undefined], ["released", "suspended"]]);
  assert.deepEqual((await carryOut(workflow, { storage: one.storage })).finished.output, [1, 2]);
});

test("a run that takes longer than its timeout fails, whatever it does", async () => {
  const order = { settings: { timeout_ms: 30, cancel: { grace_ms: 10 } } };
  const { finished } = await carryOut((_, { sleep }) => sleep("a", 10_000), { order });
  const busy = await carryOut((_, { step }) => step("a", () => new Promise(() => undefined)), { order });

  assert.deepEqual([finished.status, finished.reason, finished.error.name], ["failed", "timeout", "TimeoutError"]);
  assert.equal(finished.error.message, "the run did not end within its timeout of 30 ms");
  assert.deepEqual([busy.finished.reason, busy.of("abandoned").length], ["timeout", 1]);
});
