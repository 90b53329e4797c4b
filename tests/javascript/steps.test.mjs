import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { test } from "node:test";

import { allowsMore, pauseAfter } from "../../runtimes/javascript/policy.mjs";
import { Process, Storage, carryOut, cutAfter, until } from "./support/memory.mjs";

const QUICK = { initialInterval: 1, jitter: false };

function failing(times) {
  let failures = 0;
  return () => {
    if (failures < times) throw new RangeError(`failure ${++failures}`);
    return failures;
  };
}

test("a step that fails is tried again, and each failure is recorded", async () => {
  const storage = await carryOut((_, { step }) => step("a", failing(2), { retry: QUICK }));

  assert.deepEqual(
    storage.records.slice(2).map(({ type, try: number }) => [type, number]),
    [["requested", 1], ["retrying", 1], ["started", 2], ["retrying", 2], ["started", 3], ["completed", 3], ["finished", undefined]],
  );
});

test("the pause grows up to its limit, and jitter makes it shorter", () => {
  const policy = { initial_interval_ms: 100, factor: 2, max_interval_ms: 350, jitter: false };

  assert.deepEqual([1, 2, 3, 9999].map((failures) => pauseAfter(failures, policy)), [100, 200, 350, 350]);
  for (let round = 0; round < 100; round++) {
    const pause = pauseAfter(1, { ...policy, jitter: true });
    assert.ok(pause >= 0 && pause <= 100);
  }
  assert.deepEqual([allowsMore(9, { max_attempts: 10 }), allowsMore(10, { max_attempts: 10 }), allowsMore(1e6, { max_attempts: 0 })], [true, false, true]);
});

test("after the last try the step fails with the error of that try", async () => {
  const workflow = async (_, { step }) => {
    const error = await step("a", failing(9), { retry: { ...QUICK, maxAttempts: 2 } }).catch((reason) => reason);
    return [error instanceof RangeError, error.message];
  };

  assert.deepEqual((await carryOut(workflow)).finished.output, [true, "failure 2"]);
});

test("errors that rule out another try are not tried again", async () => {
  const errors = [(NonRetryableError) => new NonRetryableError("x"), () => Object.assign(new Error("x"), { nonRetryable: true })];
  for (const make of errors) {
    const storage = await carryOut((_, { step, NonRetryableError }) => step("a", () => { throw make(NonRetryableError); }));
    assert.deepEqual([storage.of("retrying").length, storage.of("failed").length], [0, 1]);
  }
  const unserializable = await carryOut((_, { step }) => step("a", () => ({ n: [NaN] })));
  assert.deepEqual([unserializable.of("retrying").length, unserializable.finished.error.message], [0, "$.n[0] is NaN, which JSON cannot hold"]);
});

test("a function with a parameter gets key, attempt and inDoubt; one without gets nothing", async () => {
  const seen = [];
  await carryOut(async (_, { step }) => {
    await step("a", ({ key, attempt, inDoubt, heartbeat }) => { heartbeat({ done: 1 }); seen.push([key, attempt, inDoubt]); if (attempt === 1) throw new Error("x"); }, { retry: QUICK });
    await step("a", (...args) => { seen.push(args); });
    await step("a", (context = "default") => { seen.push(context); });
  });

  assert.deepEqual(seen, [["uid/a", 1, false], ["uid/a", 2, false], [], "default"]);
});

test("a step in flight when its process died starts again in doubt, and stays so", async () => {
  const first = new Process(new Storage(), (_, { step }) => step("a", () => new Promise(() => undefined)));
  await delay(5);
  first.kill();
  const seen = [];
  const body = ({ attempt, inDoubt }) => { seen.push([attempt, inDoubt]); if (attempt < 4) throw new Error("x"); };
  const storage = await carryOut((_, { step }) => step("a", body, { retry: QUICK }), { storage: first.storage });
  const pausing = cutAfter(storage, storage.records.findIndex(({ type }) => type === "retrying") + 1);
  await carryOut((_, { step }) => step("a", body, { retry: QUICK }), { storage: pausing });

  assert.deepEqual(seen.slice(0, 3), [[2, true], [3, true], [4, true]]);
  assert.deepEqual(seen.slice(3), [[3, true], [4, true]]);
});

const endless = () => new Promise(() => undefined);

test("a try that died with its worker counts as a failure, one that was let go or ended by a reboot does not", async () => {
  const dying = async () => { throw new Error("x"); };
  const workflow = (_, { step }) => step("a", dying, { retry: { ...QUICK, maxAttempts: 3 } });
  const whole = await carryOut(workflow);
  const left = () => cutAfter(whole, whole.records.findIndex(({ type }) => type === "started") + 1);
  const [died, released, rebooted, full] = [left(), left(), left(), left()];
  released.records.push({ type: "released", claim: 1, seq: released.records.length, at: "", reason: "suspended", inbox: 0 });
  rebooted.boot = "another";
  for (const storage of [died, released, rebooted, full]) await carryOut(workflow, { storage, before: storage === full ? "no-space" : undefined });

  assert.deepEqual([whole, died, released, rebooted, full].map((storage) => storage.of("retrying").length), [2, 1, 2, 2, 2]);
  assert.deepEqual(died.of("failed").map(({ try: number }) => number), [3]);
});

test("a step whose budget is used up by a death fails with CrashError", async () => {
  const storage = new Storage();
  const workflow = (_, { step }) => step("a", endless, { retry: { maxAttempts: 2 } });
  for (let death = 1; death <= 2; death++) {
    const one = new Process(storage, workflow);
    await until(() => storage.of("requested").length + storage.of("started").length === death);
    one.kill();
  }
  await carryOut(workflow, { storage });

  assert.equal(storage.finished.error.name, "CrashError");
  assert.equal(storage.finished.error.message, 'step "a" failed: its worker died during try 2, and no try is left');
});

test("a death counts once, however many claims follow before the step begins again", async () => {
  const storage = new Storage();
  const workflow = (_, { step }) => step("a", ({ attempt }) => (attempt === 1 ? endless() : attempt), { retry: { maxAttempts: 2 } });
  const first = new Process(storage, workflow);
  await until(() => storage.of("requested").length === 1);
  first.kill();
  // Dies before the code asks for the step.
  const second = new Process(storage, () => new Promise(() => undefined));
  second.kill();
  await carryOut(workflow, { storage });

  assert.equal(storage.finished.output, 2);
});

test("a try that takes too long fails with TimeoutError, its signal fires, and what it returns later is ignored", async () => {
  const reasons = [];
  const body = async ({ signal, attempt }) => {
    signal.addEventListener("abort", () => reasons.push(signal.reason.name));
    if (attempt === 1) await delay(60);
    return attempt;
  };
  const storage = await carryOut((_, { step, sleep }) => Promise.all([step("a", body, { timeout: 20, retry: QUICK }), sleep("b", 90)]).then(([value]) => value));

  assert.deepEqual([storage.finished.output, reasons], [2, ["TimeoutError"]]);
  assert.equal(storage.of("retrying")[0].error.message, 'step "a" took longer than 20 ms');
  assert.equal(storage.of("completed").filter(({ key }) => key === "a").length, 1);
});

test("no timeout is no timeout", async () => {
  const order = { settings: { step: { timeout_ms: 10, retry: { max_attempts: 1 } } } };
  const workflow = (_, { step }) => step("a", () => delay(30).then(() => 1), { timeout: 0 });

  assert.equal((await carryOut(workflow, { order })).finished.output, 1);
  assert.equal((await carryOut((_, { step }) => step("a", () => delay(30)), { order })).finished.error.name, "TimeoutError");
});

test("a recorded pause before a retry is kept by the next process", async () => {
  const workflow = (_, { step }) => step("a", failing(1), { retry: { initialInterval: 60, jitter: false } });
  const first = new Process(new Storage(), workflow);
  await delay(10);
  first.kill();
  await carryOut(workflow, { storage: first.storage });

  const [{ retry_at: due }] = first.storage.of("retrying");
  assert.ok(first.storage.of("started")[0].at >= due);
});
