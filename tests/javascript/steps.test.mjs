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
  await until(() => first.storage.of("requested").length === 1);
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
  await until(() => first.storage.of("retrying").length === 1);
  first.kill();
  await carryOut(workflow, { storage: first.storage });

  const [{ retry_at: due }] = first.storage.of("retrying");
  assert.ok(first.storage.of("started")[0].at >= due);
});

const decide = (data, key = "a") => ({ type: "signal", id: `${Math.random()}`, name: `${key}~in-doubt`, data });
const inDoubt = (onInDoubt, ran = []) => (_, { step }) => step("a", ({ attempt }) => (attempt === 1 ? endless() : ran.push(attempt)), { onInDoubt, retry: QUICK });

/** Return a storage whose step was cut off in its first try. */
async function cutOff(workflow) {
  const one = new Process(new Storage(), workflow);
  await until(() => one.storage.of("requested").length === 1);
  one.kill();
  return one.storage;
}

test("the record that begins a try is durable before the body, where the step is not simply tried again", async () => {
  for (const alone of [true, false]) {
    const durable = [];
    const look = ({ attempt }) => { durable.push(one.storage.durable === one.storage.records.length); if (attempt === 1) throw new Error("x"); };
    const one = new Process(new Storage(), (_, { step }) => step("a", look, { onInDoubt: "fail", retry: QUICK }), { alone: () => alone });
    await one.ended;

    assert.deepEqual(durable, [true, true]);
  }
});

test("a step that was cut off fails where it must not run twice", async () => {
  const ran = [];
  const storage = await cutOff(inDoubt("fail", ran));
  await carryOut(inDoubt("fail", ran), { storage });

  assert.deepEqual([ran, storage.finished.error.name, storage.of("failed")[0].try], [[], "InDoubtError", 1]);
  assert.equal(storage.finished.error.message, 'step "a" was cut off during try 1, and may have had its effect (onInDoubt)');
});

test("a person decides about a step that was cut off: another try, a failure, or its result", async () => {
  const ends = [];
  for (const data of ["retry", "fail", { result: { n: 7 } }]) {
    const storage = await cutOff(inDoubt("ask"));
    const one = new Process(storage, inDoubt("ask"));
    await until(() => storage.of("asked").length === 1);
    one.send(decide(data));
    await one.ended;
    const { status, output, error } = storage.finished;
    const deciding = storage.records.find(({ inbox }) => inbox === 1);
    ends.push([status, output ?? error.message, deciding.type, deciding.try]);
  }

  assert.deepEqual(ends, [
    ["completed", 1, "started", 2],
    ["failed", 'step "a" was cut off during try 1, and a person decided that it failed', "failed", 1],
    ["completed", { n: 7 }, "completed", 1],
  ]);
});

test("a step that waits for a decision parks, is asked for once, and ignores what is no decision, once", async () => {
  const storage = await cutOff(inDoubt("ask"));
  storage.inbox.push(decide("perhaps"), decide({ result: 1, more: 2 }));
  await carryOut(inDoubt("ask"), { storage, parkAfter: 100 });
  const parked = storage.records.at(-1);
  storage.inbox.push(decide("retry"));
  await carryOut(inDoubt("ask"), { storage });

  assert.deepEqual([parked.type, parked.waits, parked.inbox], ["parked", [{ key: "a", kind: "decision" }], 2]);
  assert.deepEqual(storage.of("warning").map(({ code, key, inbox }) => [code, key, inbox]), [["in-doubt", "a", 1], ["in-doubt", "a", 2]]);
  assert.equal(storage.of("warning")[0].message, '"retry", "fail" or {"result": ...} was expected for step "a", which is in doubt: message 1 is ignored');
  assert.deepEqual([storage.of("asked").length, storage.finished.output], [1, 1]);
});

test("a second try that is cut off is asked about again, and takes a decision of its own", async () => {
  const workflow = (_, { step }) => step("a", ({ attempt }) => (attempt < 3 ? endless() : attempt), { onInDoubt: "ask", retry: { maxAttempts: 1 } });
  const storage = await cutOff(workflow);
  storage.inbox.push(decide("retry"));
  const two = new Process(storage, workflow);
  await until(() => storage.of("started").length === 1);
  two.kill();
  const three = new Process(storage, workflow);
  await until(() => storage.of("asked").length === 2);
  three.send(decide("retry"));
  await three.ended;

  assert.deepEqual([storage.finished.output, storage.of("asked").map(({ try: number }) => number), storage.of("started").map(({ inbox }) => inbox)], [3, [1, 2], [1, 2]]);
});

test("heartbeats are recorded, one a second at most, and the first at once", async () => {
  let clock = 0;
  const storage = await carryOut((_, { step }) => step("a", async ({ heartbeat }) => {
    for (let beat = 0; beat < 5; beat++) {
      heartbeat(beat === 2 ? undefined : { beat });
      clock += 500;
      await null;
    }
    assert.throws(() => heartbeat(NaN), { name: "NotSerializableError" });
  }, { retry: { maxAttempts: 1 } }), { elapsed: () => clock });

  assert.deepEqual(storage.of("heartbeat").map(({ key, details }) => [key, details]), [["a", { beat: 0 }], ["a", undefined], ["a", { beat: 4 }]]);
  assert.equal(storage.finished.status, "completed");
});

test("a try that sends no heartbeat for too long fails, one that does goes on", async () => {
  const reasons = [];
  let clock = 0;
  const silent = async ({ attempt, signal }) => {
    signal.addEventListener("abort", () => reasons.push(signal.reason.message));
    if (attempt === 1) await endless();
  };
  const lively = async ({ heartbeat }) => {
    // Never more than 30 ms between two of them, 240 in all.
    for (let beat = 0; beat < 8; beat++) {
      clock += 30;
      heartbeat();
      await delay(15);
    }
    return "alive";
  };
  const storage = await carryOut((_, { step }) => Promise.all([step("a", silent, { heartbeatTimeout: 40, retry: QUICK }), step("b", lively, { heartbeatTimeout: 40, retry: { maxAttempts: 1 } })]), { elapsed: () => clock });

  assert.deepEqual(reasons, ['step "a" sent no heartbeat for 40 ms']);
  assert.deepEqual(storage.finished.output, [null, "alive"]);
});

test("options of a step that are wrong are refused with what is wrong", async () => {
  const cases = {
    'step(name, fn, options): options.onInDoubt must be "retry", "fail" or "ask", got "panic"': { onInDoubt: "panic" },
    "step(name, fn, options): options.compensate must be a function, got 5": { compensate: 5 },
    'step(name, fn, options): options.heartbeatTimeout must be milliseconds or text such as "500ms", "30s", "1h30m" or "7d", got "soon"': { heartbeatTimeout: "soon" },
  };
  for (const [message, options] of Object.entries(cases)) {
    assert.equal((await carryOut((_, { step }) => step("a", () => 1, options))).finished.error.message, message);
  }
  const calls = {
    'waitForSignal(signal, options): options.wait is unknown; known are name, timeout, approval': ({ waitForSignal }) => waitForSignal("a", { wait: 1 }),
    "waitForSignal(signal, options): signal must be text, got undefined": ({ waitForSignal }) => waitForSignal(),
    'waitForSignal(signal, options): options.name must not contain "~", got "a~b"': ({ waitForSignal }) => waitForSignal("a", { name: "a~b" }),
    'waitForSignal(signal, options): signal must not contain "~", got "a~in-doubt"': ({ waitForSignal }) => waitForSignal("a~in-doubt", { name: "a" }),
    "sendSignal(run, signal, data, options): run must be text of 1 to 500 bytes, got 5": ({ sendSignal }) => sendSignal(5, "a"),
    "sendSignal(run, signal, data, options): options must be an object, got 5": ({ sendSignal }) => sendSignal("r", "a", 1, 5),
    'runWorkflow(workflow, input, options): options.onCancel must be "cancel" or "finish", got "leave"': ({ runWorkflow }) => runWorkflow("w", 1, { onCancel: "leave" }),
    "runWorkflow(workflow, input, options): workflow must be text, got null": ({ runWorkflow }) => runWorkflow(null),
  };
  for (const [message, call] of Object.entries(calls)) assert.equal((await carryOut((_, api) => call(api))).finished.error.message, message);
});

test("limits that are nearly reached are warnings, each once", async () => {
  const order = { settings: { limits: { calls: 5, value: 20 } } };
  const workflow = async (_, { step }) => { for (let turn = 0; turn < 5; turn++) await step("a", () => "x".repeat(turn === 1 ? 16 : 1)); return "y".repeat(16); };
  const storage = await carryOut(workflow, { order });

  assert.deepEqual(storage.of("warning").map(({ code, key, message }) => [code, key, message]), [
    ["limit", "a#2", 'the result of step "a#2" is larger than 80 % of 20 bytes (limits.value)'],
    ["limit", undefined, "more than 80 % of 5 calls in one run are made (limits.calls)"],
    ["limit", undefined, "what the workflow returned is larger than 80 % of 20 bytes (limits.value)"],
  ]);
});
