import assert from "node:assert/strict";
import { test } from "node:test";

import { Process, Storage, beforeEnd, carryOut, cutAfter, until } from "./support/memory.mjs";

const ended = (key, fields) => ({ type: "child", id: key, key, run: `parent/${key}`, status: "completed", ...fields });
const report = ({ name, message, run, workflow, status, cause }) => [name, message, run, workflow, status, cause?.message];

test("a child is asked for once, and its output is the result", async () => {
  const workflow = async (_, { runWorkflow }) => [await runWorkflow("pay", { amount: 5 }), await runWorkflow("pay", undefined, { name: "again", timeout: "1h", onCancel: "finish" })];
  const one = new Process(new Storage(), workflow);
  await until(() => one.storage.of("requested").length === 1);
  one.send(ended("pay", { output: { paid: true } }));
  await until(() => one.storage.of("requested").length === 2);
  one.kill();
  one.storage.inbox.push(ended("again"));
  await carryOut(workflow, { storage: one.storage });
  const [first, second] = one.storage.of("requested");

  assert.deepEqual(one.storage.finished.output, [{ paid: true }, null]);
  assert.deepEqual([first.key, first.kind, first.workflow, first.input, first.on_cancel, "until" in first], ["pay", "child", "pay", { amount: 5 }, "cancel", false]);
  assert.deepEqual([second.key, second.workflow, second.input, second.on_cancel], ["again", "pay", null, "finish"]);
  // The instant is worked out first, then the record is stamped.
  assert.ok(Math.abs(Date.parse(second.until) - Date.parse(second.at) - 3_600_000) < 10_000);
  assert.equal(one.storage.of("requested").length, 2);
});

test("a child that fails, is canceled or is refused is an error of its own, live and in a replay", async () => {
  const workflow = (_, { runWorkflow }) => Promise.allSettled(["a", "b", "c", "d"].map((name) => runWorkflow("pay", null, { name }))).then((results) => results.map(({ reason }) => report(reason)));
  const one = new Process(new Storage(), workflow);
  await until(() => one.storage.of("requested").length === 4);
  one.send(ended("a", { status: "failed", error: { name: "RangeError", message: "no money" } }));
  one.send(ended("b", { status: "canceled", reason: "enough" }));
  one.send(ended("c", { status: "refused", error: { name: "RejectedError", message: "no such workflow" } }));
  one.send(ended("d", { status: "skipped" }));
  await one.ended;
  const replayed = beforeEnd(one.storage);
  await carryOut(workflow, { storage: replayed });

  assert.deepEqual(one.storage.finished.output, [
    ["ChildError", "run parent/a of workflow pay failed: no money", "parent/a", "pay", "failed", "no money"],
    ["ChildError", "run parent/b of workflow pay canceled: enough", "parent/b", "pay", "canceled", null],
    ["RejectedError", "no such workflow", null, null, null, null],
    ["ChildError", "run parent/d of workflow pay skipped", "parent/d", "pay", "skipped", null],
  ]);
  assert.deepEqual(replayed.finished.output, one.storage.finished.output);
  assert.deepEqual(one.storage.of("failed").map(({ inbox }) => inbox), [1, 2, 3, 4]);
});

test("a child whose time is over is an error, and what it brings later is no result", async () => {
  const one = new Process(new Storage(), async (_, { runWorkflow, sleep }) => {
    const error = await runWorkflow("pay", null, { timeout: 10 }).catch((reason) => reason);
    await sleep("s", 30);
    return [error.name, error.message];
  });
  await until(() => one.storage.of("failed").length === 1);
  one.send(ended("pay", { output: 1 }));
  await one.ended;

  assert.deepEqual(one.storage.finished.output, ["TimeoutError", 'child "pay" did not end within its timeout']);
  assert.equal(one.storage.of("completed").filter(({ key }) => key === "pay").length, 0);
});

test("300 children at once come back in the order in which they end, in every replay", async () => {
  const order = [];
  const workflow = (_, { runWorkflow }) => {
    order.length = 0;
    return Promise.all(Array.from({ length: 300 }, (_each, index) => runWorkflow("pay", index).then((value) => (order.push(value), value))));
  };
  const one = new Process(new Storage(), workflow);
  await until(() => one.storage.of("requested").length === 300);
  const key = (index) => (index === 0 ? "pay" : `pay#${index + 1}`);
  for (let index = 299; index >= 0; index--) one.send(ended(key(index), { output: index }));
  await one.ended;

  assert.deepEqual(one.storage.finished.output, Array.from({ length: 300 }, (_each, index) => index));
  const live = order.slice();
  await carryOut(workflow, { storage: beforeEnd(one.storage) });
  assert.deepEqual(order, live);
  assert.deepEqual(live.slice(0, 3), [299, 298, 297]);
});

test("a child parks its parent, and wakes it with its result", async () => {
  const workflow = (_, { runWorkflow, sleep }) => Promise.race([sleep("s", "1h"), runWorkflow("pay")]);
  const storage = await carryOut(workflow, { parkAfter: 100 });
  const { type, waits } = storage.records.at(-1);
  storage.inbox.push(ended("pay", { output: 3 }));
  await carryOut(workflow, { storage, parkAfter: 100 });

  assert.deepEqual([type, waits], ["parked", [{ key: "s", kind: "sleep" }, { key: "pay", kind: "child" }]]);
  assert.equal(storage.finished.output, 3);
});

test("a body that is tried again takes the results of its children from the memo", async () => {
  const order = { settings: { retry: { max_attempts: 2, initial_interval_ms: 1 } } };
  let attempts = 0;
  const one = new Process(new Storage(order), async (_, { runWorkflow }) => {
    const got = await runWorkflow("pay");
    if (++attempts === 1) throw new Error("again");
    return got;
  });
  await until(() => one.storage.of("requested").length === 1);
  one.send(ended("pay", { output: 3 }));
  await one.ended;

  assert.deepEqual(one.storage.of("requested").map(({ memo, workflow }) => [memo, workflow]), [[undefined, "pay"], [true, undefined]]);
  assert.equal(one.storage.finished.output, 3);
});

test("what the inputs of children may be is told", async () => {
  const storage = cutAfter(await carryOut((_, { runWorkflow }) => runWorkflow("pay", { at: [NaN] })), 99);

  assert.equal(storage.finished.error.message, "$.at[0] is NaN, which JSON cannot hold");
});
