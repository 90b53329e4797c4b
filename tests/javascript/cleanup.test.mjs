import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { test } from "node:test";

import { Process, Storage, carryOut, cutAfter, until } from "./support/memory.mjs";

const QUICK = { retry: { initialInterval: 1, jitter: false } };
const endless = () => new Promise(() => undefined);
const shape = (storage, from = "ending") => storage.records.slice(storage.records.findIndex(({ type }) => type === from)).map(({ type, key, try: number }) => [type, key, number].filter((part) => part !== undefined).join(" "));

/** Return a saga that reserves, charges and fails, and what it has done. */
function saga({ fail = () => { throw new Error("no stock"); }, undo = {} } = {}) {
  const done = [];
  const compensate = (name) => async (value, context) => {
    await undo[name]?.(context);
    done.push(`undo ${name} ${value} ${context.key}`);
  };
  const workflow = async (_, { step, onCancel }) => {
    onCancel((context) => done.push(`canceled ${context.key}`));
    await step("reserve", () => 1, { ...QUICK, compensate: compensate("reserve") });
    await step("plain", () => 0);
    await step("charge", () => 2, { ...QUICK, timeout: 50, compensate: compensate("charge") });
    await fail();
    return step("after", () => 3);
  };
  return { workflow, done };
}

test("a run that fails undoes its completed steps, the last to complete first", async () => {
  const { workflow, done } = saga();
  const storage = await carryOut(workflow);
  const [first] = storage.of("requested").filter(({ kind }) => kind === "clean-up");

  assert.deepEqual(done, ["undo charge 2 uid/charge~compensate", "undo reserve 1 uid/reserve~compensate"]);
  assert.deepEqual(shape(storage), ["ending", "requested charge~compensate 1", "completed charge~compensate 1", "requested reserve~compensate 1", "completed reserve~compensate 1", "finished"]);
  assert.deepEqual([storage.finished.status, storage.finished.error.message], ["failed", "no stock"]);
  assert.deepEqual([first.after, first.timeout_ms], [undefined, 50]);
  assert.equal(storage.of("ending")[0].error.message, "no stock");
  assert.equal(storage.of("completed").at(-1).value, null);
  assert.deepEqual(storage.of("requested").filter(({ kind }) => kind === "step").map(({ compensate, timeout_ms: timeout }) => [compensate, timeout]), [[true, 600_000], [undefined, 600_000], [true, 50]]);
});

test("a run without anything to undo just ends", async () => {
  const storage = await carryOut(async (_, { step, onCancel }) => { onCancel(() => 1); await step("a", () => 1); throw new Error("x"); });

  assert.deepEqual(storage.of("ending"), []);
});

test("cancel ends what is in flight, then runs what onCancel was given, then the compensations", async () => {
  let reached = false;
  const { workflow, done } = saga({ fail: () => ((reached = true), endless()) });
  const one = new Process(new Storage(), workflow);
  await until(() => reached);
  one.send({ type: "cancel", reason: "enough" });
  await one.ended;

  assert.deepEqual(done, ["canceled uid/ty/on-cancel~run", "undo charge 2 uid/charge~compensate", "undo reserve 1 uid/reserve~compensate"]);
  assert.deepEqual(shape(one.storage, "canceling").slice(0, 4), ["canceling", "ending", "requested ty/on-cancel~run 1", "completed ty/on-cancel~run 1"]);
  assert.deepEqual([one.storage.finished.status, one.storage.finished.reason, one.storage.of("ending")[0].status], ["canceled", "enough", "canceled"]);
});

test("the last function given to onCancel counts", async () => {
  const done = [];
  const one = new Process(new Storage(), async (_, { onCancel, step }) => { onCancel(() => done.push(1)); onCancel(async () => done.push(2)); await step("a", endless); });
  await until(() => one.storage.of("requested").length === 3);
  one.send({ type: "cancel", id: "c" });
  await until(() => one.storage.of("canceling").length === 1);
  one.send({ type: "cancel", id: "d" });
  one.kill();
  const storage = cutAfter(one.storage, one.storage.records.length);
  storage.records[0].settings = { cancel: { grace_ms: 5 } };
  await carryOut(async (_, { onCancel, step }) => { onCancel(() => done.push(1)); onCancel(async () => done.push(2)); await step("a", endless); }, { storage });

  assert.deepEqual([done, storage.finished.status], [[2], "canceled"]);
});

for (const how of ["failed", "canceled"]) {
  test(`clean-up of a run that ${how} goes on in another process, from every prefix, and repeats nothing that is recorded`, async () => {
    let reached = false;
    const fail = how === "canceled" ? () => ((reached = true), endless()) : undefined;
    const first = saga({ fail });
    const one = new Process(new Storage(), first.workflow);
    if (how === "canceled") {
      await until(() => reached);
      one.send({ type: "cancel", reason: "enough" });
    }
    await one.ended;
    const whole = one.storage;
    const from = whole.records.findIndex(({ type }) => type === (how === "canceled" ? "canceling" : "ending"));
    for (let count = from + 1; count < whole.records.length; count++) {
      const storage = cutAfter(whole, count);
      const recorded = new Set(storage.of("completed").map(({ key }) => key));
      const { workflow, done } = saga({ fail });
      await carryOut(workflow, { storage });
      const ran = done.map((text) => text.slice(text.indexOf("uid/") + 4));

      assert.deepEqual([storage.finished.status, storage.of("warning")], [how, []], `after ${count} records`);
      assert.ok(ran.every((key) => !recorded.has(key)), `${ran} after ${count} records`);
      assert.equal(new Set([...recorded, ...ran]).size, how === "canceled" ? 6 : 5, `after ${count} records`);
      assert.equal(storage.of("ending").length, 1);
    }
  });
}

test("a compensation that fails is tried again under the policy of its step, and left with a warning in the end", async () => {
  let tries = 0;
  const flaky = { charge: () => { tries += 1; throw new RangeError(`no ${tries}`); }, reserve: ({ attempt }) => { if (attempt < 3) throw new Error("later"); } };
  const { workflow, done } = saga({ undo: flaky });
  const storage = await carryOut(workflow, { order: { settings: { step: { retry: { max_attempts: 3 } } } } });

  assert.equal(tries, 3);
  assert.deepEqual(done, ["undo reserve 1 uid/reserve~compensate"]);
  assert.deepEqual(storage.of("warning").map(({ code, key, message }) => [code, key, message]), [["clean-up", "charge~compensate", '"charge~compensate" failed: no 3']]);
  assert.deepEqual(storage.of("retrying").map(({ key }) => key), ["charge~compensate", "charge~compensate", "reserve~compensate", "reserve~compensate"]);
  assert.deepEqual([storage.finished.status, storage.finished.error.message], ["failed", "no stock"]);
});

test("a compensation whose worker died starts again in doubt", async () => {
  const seen = [];
  const first = saga({ undo: { charge: endless } });
  const one = new Process(new Storage(), first.workflow);
  await until(() => one.storage.of("requested").some(({ key }) => key === "charge~compensate"));
  one.kill();
  const second = saga({ undo: { charge: ({ attempt, inDoubt }) => { seen.push([attempt, inDoubt]); } } });
  await carryOut(second.workflow, { storage: one.storage });

  assert.deepEqual(seen, [[2, true]]);
  assert.equal(second.done.length, 2);
});

test("clean-up has its time, then it is told to abort, and the run ends", async () => {
  const reasons = [];
  const order = { settings: { cancel: { cleanup_ms: 40 } } };
  const { workflow, done } = saga({ undo: { charge: ({ signal }) => new Promise(() => signal.addEventListener("abort", () => reasons.push(signal.reason.name))) } });
  const storage = await carryOut(workflow, { order });

  assert.deepEqual([reasons, done, storage.finished.status], [["AbortError"], [], "failed"]);
  assert.deepEqual(storage.of("warning").map(({ code, key, message }) => [code, key, message]), [["clean-up", "charge~compensate", "clean-up did not end within 40 ms (cancel.cleanup_ms)"]]);
});

test("the time of clean-up goes on while no process lives", async () => {
  const one = new Process(new Storage({ settings: { cancel: { cleanup_ms: 30 } } }), saga({ undo: { charge: endless } }).workflow);
  await until(() => one.storage.of("requested").some(({ key }) => key === "charge~compensate"));
  one.kill();
  await delay(40);
  const { workflow, done } = saga();
  await carryOut(workflow, { storage: one.storage });

  assert.deepEqual([done, one.storage.finished.status, one.storage.of("warning").length], [[], "failed", 1]);
});

test("a parked run that is canceled is replayed to find what undoes it, and asks for nothing new", async () => {
  const asked = [];
  const fail = async () => asked.push("on");
  const make = () => {
    const { workflow, done } = saga({ fail });
    return { done, workflow: (input, api) => workflow(input, { ...api, step: (name, ...rest) => (name === "plain" ? api.sleep("nap", "1h") : api.step(name, ...rest)) }) };
  };
  const storage = await carryOut(make().workflow, { parkAfter: 100 });
  assert.equal(storage.records.at(-1).type, "parked");
  storage.inbox.push({ type: "cancel", id: "c", reason: "enough" });
  const { workflow, done } = make();
  await carryOut(workflow, { storage });

  assert.deepEqual(done, ["canceled uid/ty/on-cancel~run", "undo reserve 1 uid/reserve~compensate"]);
  assert.deepEqual([asked, storage.finished.status, storage.of("canceling")[0].inbox], [[], "canceled", 1]);
  assert.deepEqual(storage.of("requested").map(({ key }) => key), ["ty/on-cancel", "reserve", "nap", "ty/on-cancel~run", "reserve~compensate"]);
});

test("the body of a run without anything to undo is not run for a cancel", async () => {
  let ran = 0;
  const workflow = async (_, { step, sleep }) => { ran += 1; await step("a", () => 1); await sleep("nap", "1h"); };
  const storage = await carryOut(workflow, { parkAfter: 100 });
  storage.inbox.push({ type: "cancel", id: "c" });
  await carryOut(workflow, { storage });

  assert.deepEqual([ran, storage.finished.status], [1, "canceled"]);
});

test("a cancel between two attempts of the body undoes what the memo holds", async () => {
  const order = { settings: { retry: { max_attempts: 2, initial_interval_ms: 3_600_000, max_interval_ms: 3_600_000, jitter: false } } };
  const first = saga();
  const storage = await carryOut(first.workflow, { order, parkAfter: 100 });
  assert.deepEqual(storage.records.at(-1).waits, [{ kind: "retry" }]);
  storage.inbox.push({ type: "cancel", id: "c" });
  const { workflow, done } = saga();
  await carryOut(workflow, { storage });

  assert.deepEqual([first.done, done.length, done[0], storage.finished.status], [[], 3, "canceled uid/ty/on-cancel~run", "canceled"]);
  assert.deepEqual(storage.of("requested").filter(({ memo }) => memo).map(({ key, compensate }) => [key, compensate]), [["ty/on-cancel", undefined], ["reserve", true], ["plain", undefined], ["charge", true]]);
});

test("a run whose timeout was over before it was claimed undoes what it has done", async () => {
  const fail = () => Promise.resolve();
  const make = () => saga({ fail: () => delay(5).then(fail) });
  const order = { settings: { timeout_ms: 60 } };
  const one = new Process(new Storage(order), make().workflow);
  await until(() => one.storage.of("completed").length >= 3);
  one.kill();
  const storage = cutAfter(one.storage, one.storage.records.findLastIndex(({ type, key }) => type === "completed" && key === "charge") + 1);
  await delay(70);
  const { workflow, done } = make();
  await carryOut(workflow, { storage });

  assert.deepEqual([storage.finished.status, storage.finished.reason, done.length], ["failed", "timeout", 2]);
  assert.equal(storage.of("started").length, 0);
});

test("a cancel in the middle of a replay finds what undoes the rest", async () => {
  const { workflow } = saga({ fail: endless });
  const one = new Process(new Storage(), workflow);
  await until(() => one.storage.of("completed").length === 3);
  one.kill();
  const again = saga({ fail: endless });
  let runs = 0;
  const slow = async (input, api) => {
    if (++runs === 1) await endless();
    return again.workflow(input, api);
  };
  const two = new Process(one.storage, slow, { foreign: () => runs === 1 });
  await until(() => runs === 1);
  two.send({ type: "cancel", id: "c" });
  await two.ended;

  assert.deepEqual([runs, again.done.length, one.storage.finished.status], [2, 3, "canceled"]);
});

test("a run that cannot be replayed is not cleaned up, says so, and ends", async () => {
  const one = new Process(new Storage(), saga({ undo: { charge: endless } }).workflow);
  await until(() => one.storage.of("requested").some(({ key }) => key === "charge~compensate"));
  one.kill();
  const other = cutAfter(one.storage, one.storage.records.length);
  await carryOut(async (_, { step }) => step("renamed", () => 1), { storage: one.storage });
  await carryOut(async (_, { step }) => step("charge", () => 1), { storage: other });

  for (const storage of [one.storage, other]) {
    assert.deepEqual([storage.finished.status, storage.finished.error.message, storage.of("warning").length], ["failed", "no stock", 1]);
    assert.match(storage.of("warning")[0].message, /^the code cannot be replayed, so that nothing is cleaned up: the journal holds on-cancel "ty\/on-cancel" here/);
  }
});

test("nothing is cleaned up after a NonDeterminismError", async () => {
  const { workflow, done } = saga();
  const storage = cutAfter(await carryOut(workflow), 5);
  await carryOut(async (_, { sleep }) => sleep("reserve", 1), { storage });

  assert.deepEqual([storage.finished.error.name, storage.of("ending")], ["NonDeterminismError", []]);
  assert.equal(done.length, 2);
});

test("clean-up is let go like a step, and goes on elsewhere", async () => {
  const { workflow } = saga({ undo: { charge: () => delay(30) } });
  const one = new Process(new Storage(), workflow);
  await until(() => one.storage.of("requested").some(({ key }) => key === "charge~compensate"));
  one.run.suspend();
  await one.ended;
  assert.deepEqual(one.storage.records.slice(-2).map(({ type, key, reason }) => [type, key ?? reason]), [["completed", "charge~compensate"], ["released", "suspended"]]);
  const { workflow: again, done } = saga();
  await carryOut(again, { storage: one.storage });

  assert.deepEqual([done, one.storage.finished.status], [["undo reserve 1 uid/reserve~compensate"], "failed"]);
});

test("a call inside of a compensation is refused", async () => {
  const storage = await carryOut(async (_, { step }) => {
    await step("a", () => 1, { compensate: () => step("b", () => 2) });
    throw new Error("x");
  });

  assert.match(storage.of("warning")[0].message, /^"a~compensate" failed: step "b" was called inside the body of step "a~compensate"/);
});
