import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { test } from "node:test";

import { Process, Storage, beforeEnd, carryOut, cutAfter, until } from "./support/memory.mjs";

const signal = (name, data) => ({ type: "signal", id: `${name} ${data}`, name, data });
const last = (storage) => storage.records.at(-1);
const HOUR = 3_600_000;

/** Return a storage with a run whose inbox holds messages. */
function stored(messages, order) {
  const storage = new Storage(order);
  storage.inbox.push(...messages);
  return storage;
}

test("a signal that came too early is kept until it is waited for, and each wait takes one, in order", async () => {
  const storage = stored([signal("go", 1), signal("other", "x"), signal("go", 2), signal("go", 3)]);
  await carryOut(async (_, { waitForSignal }) => [await waitForSignal("go"), await waitForSignal("go"), await waitForSignal("other")], { storage });

  assert.deepEqual(storage.finished.output, [1, 2, "x"]);
  assert.deepEqual(storage.of("requested").map(({ key, kind, signal: name }) => [key, kind, name]), [["go", "signal", "go"], ["go#2", "signal", "go"], ["other", "signal", "other"]]);
  assert.deepEqual(storage.of("completed").map(({ key, value, inbox }) => [key, value, inbox]), [["go", 1, 1], ["go#2", 2, 3], ["other", "x", 2]]);
});

test("signals that come while they are waited for go to the waits in the order of asking", async () => {
  const one = new Process(new Storage(), (_, { waitForSignal }) => Promise.all([waitForSignal("go", { name: "first" }), waitForSignal("go", { name: "second" })]));
  await until(() => one.storage.of("requested").length === 2);
  one.send(signal("go", { n: 1 }));
  one.send(signal("go", null));
  await one.ended;

  assert.deepEqual(one.storage.finished.output, [{ n: 1 }, null]);
  assert.deepEqual(one.storage.of("completed").map(({ key }) => key), ["first", "second"]);
});

test("a message is delivered once, from every prefix of the journal, and in every attempt of the body", async () => {
  const workflow = async (_, { waitForSignal, step }) => {
    const taken = [await waitForSignal("go"), await waitForSignal("go")];
    await step("s", ({ attempt }) => { if (attempt === 1) throw new Error("x"); }, { retry: { initialInterval: 1 } });
    taken.push(await waitForSignal("go"));
    return taken;
  };
  const whole = await carryOut(workflow, { storage: stored([1, 2, 3, 4].map((data) => signal("go", data))) });
  for (let count = 1; count < whole.records.length; count++) {
    const storage = cutAfter(whole, count);
    await carryOut(workflow, { storage });
    assert.deepEqual(storage.finished.output, [1, 2, 3], `after ${count} records`);
  }
  const order = { settings: { retry: { max_attempts: 2, initial_interval_ms: 1 } } };
  let attempts = 0;
  const again = await carryOut(async (_, api) => { const taken = await workflow(_, api); if (++attempts === 1) throw new Error("y"); return taken; }, { storage: stored([1, 2, 3, 4].map((data) => signal("go", data)), order) });

  assert.deepEqual(again.finished.output, [1, 2, 3]);
});

test("a wait whose time is over returns null and says so, and the signal goes to the next", async () => {
  const one = new Process(new Storage(), async (_, { waitForSignal }) => [await waitForSignal("go", { timeout: 20 }), await waitForSignal("go")]);
  await until(() => one.storage.of("requested").length === 2);
  one.send(signal("go", 1));
  await one.ended;
  const [expired] = one.storage.of("completed");

  assert.deepEqual(one.storage.finished.output, [null, 1]);
  assert.deepEqual([expired.expired, "value" in expired], [true, false]);
  assert.ok(expired.at >= one.storage.of("requested")[0].until);
  const replayed = beforeEnd(one.storage);
  await carryOut((_, { waitForSignal }) => Promise.all([waitForSignal("go", { timeout: 20 }), waitForSignal("go")]), { storage: replayed });
  assert.deepEqual(replayed.finished.output, [null, 1]);
});

test("what is in the inbox when a time is over came in time, even if nobody has woken the worker", async () => {
  const one = new Process(new Storage(), (_, { waitForSignal }) => waitForSignal("go", { timeout: 60 }));
  await until(() => one.storage.of("requested").length === 1);
  one.storage.inbox.push(signal("go", "just so"));
  await one.ended;

  assert.equal(one.storage.finished.output, "just so");
});

test("a wait that was over while no process lived takes what has come by then", async () => {
  const workflow = (_, { waitForSignal }) => waitForSignal("go", { timeout: 15 });
  const first = new Process(new Storage(), workflow);
  await until(() => first.storage.of("requested").length === 1);
  first.kill();
  const empty = cutAfter(first.storage, first.storage.records.length);
  await delay(20);
  first.storage.inbox.push(signal("go", 7));
  await carryOut(workflow, { storage: first.storage });
  await carryOut(workflow, { storage: empty });

  assert.deepEqual([first.storage.finished.output, empty.finished.output], [7, null]);
});

test("a failed attempt's expired wait is forgotten, a signal that it took is not", async () => {
  const order = { settings: { retry: { max_attempts: 2, initial_interval_ms: 1 } } };
  let attempts = 0;
  const workflow = async (_, { waitForSignal }) => {
    const got = [await waitForSignal("a"), await waitForSignal("b", { timeout: attempts === 0 ? 1 : HOUR })];
    if (++attempts > 1) return got;
    one.send(signal("b", 2));
    throw new Error("again");
  };
  const one = new Process(stored([signal("a", 1)], order), workflow);
  await one.ended;

  assert.deepEqual(one.storage.finished.output, [1, 2]);
  assert.deepEqual(one.storage.of("requested").map(({ key, memo }) => [key, memo]), [["a", undefined], ["b", undefined], ["a", true], ["b", undefined]]);
});

test("a run that waits for a signal parks after its linger, and says for what and how far it has read", async () => {
  const began = Date.now();
  const storage = stored([signal("other", 1), signal("other", 2)]);
  await carryOut(async (_, { waitForSignal, sleep }) => { await Promise.all([waitForSignal("go"), waitForSignal("in time", { timeout: HOUR }), sleep("s", 2 * HOUR)]); }, { storage, parkAfter: 1000, linger: 60 });
  const { type, waits, inbox, until: due } = last(storage);

  assert.ok(Date.now() - began >= 60);
  assert.deepEqual([type, inbox], ["parked", 2]);
  assert.deepEqual(waits, [{ key: "go", kind: "signal", signal: "go" }, { key: "in time", kind: "signal", signal: "in time" }, { key: "s", kind: "sleep" }]);
  assert.equal(due, storage.of("requested")[1].until);
});

test("a run that waits for nothing but a message parks without a due time", async () => {
  const storage = await carryOut((_, { waitForSignal }) => waitForSignal("go"), { parkAfter: 1000 });

  assert.deepEqual([last(storage).type, "until" in last(storage), last(storage).inbox], ["parked", false, 0]);
});

test("a step beside a wait for a signal keeps the process", async () => {
  const storage = await carryOut(async (_, { waitForSignal, step }) => { waitForSignal("go"); await step("s", () => delay(60)); await waitForSignal("end"); }, { parkAfter: 10 });

  assert.deepEqual([storage.of("completed").map(({ key }) => key), last(storage).type], [["s"], "parked"]);
});

test("a signal beside a sleep is one release, and no claim ends for it", async () => {
  const one = new Process(new Storage(), async (_, { waitForSignal, sleep }) => { const nap = sleep("s", 80); const got = await waitForSignal("go"); await nap; return got; });
  await until(() => one.storage.of("requested").length === 2);
  one.send(signal("noise", 0));
  one.send(signal("go", 1));
  await one.ended;

  assert.equal(one.storage.records.length, 7);
  assert.equal(one.storage.finished.output, 1);
});

test("sending a signal is a request that tells the reconciler, and ends with its answer", async () => {
  const one = new Process(new Storage(), async (_, { sendSignal, sleep }) => {
    sleep("short", 30);
    return [await sendSignal("order-1", "paid", { amount: 5 }), await sendSignal("order-1", "paid", 1, { name: "twice" }).catch(({ name, message }) => [name, message])];
  });
  await until(() => one.storage.of("requested").length === 2);
  await until(() => one.told >= 2);
  one.send({ type: "sent", id: "1", key: "paid" });
  await until(() => one.storage.of("requested").length === 3);
  one.send({ type: "sent", id: "2", key: "twice", error: { name: "SchemaError", message: "$.amount is missing" } });
  await one.ended;

  assert.deepEqual(one.storage.finished.output, [null, ["SchemaError", "$.amount is missing"]]);
  assert.deepEqual(one.storage.of("requested").filter(({ kind }) => kind === "send").map(({ key, run, signal: name, data }) => [key, run, name, data]), [["paid", "order-1", "paid", { amount: 5 }], ["twice", "order-1", "paid", 1]]);
  assert.deepEqual(one.storage.of("failed").map(({ key, inbox }) => [key, inbox]), [["twice", 2]]);
});

test("a send that is open is not asked for again by a replay", async () => {
  const workflow = (_, { sendSignal }) => sendSignal("order-1", "paid");
  const first = new Process(new Storage(), workflow);
  await until(() => first.storage.of("requested").length === 1);
  first.kill();
  first.storage.inbox.push({ type: "sent", id: "1", key: "paid" });
  await carryOut(workflow, { storage: first.storage });

  assert.deepEqual([first.storage.of("requested").length, first.storage.finished.output], [1, null]);
});

test("the limits of values hold for what is sent", async () => {
  const order = { settings: { limits: { value: 10 } } };
  const sent = await carryOut((_, { sendSignal }) => sendSignal("r", "s", "x".repeat(9)), { order });
  const near = new Process(new Storage(order), (_, { sendSignal }) => sendSignal("r", "s", "x".repeat(7)));
  await until(() => near.storage.of("requested").length === 1);
  near.kill();

  assert.equal(sent.finished.error.message, 'the data of signal "s" is larger than 10 bytes (limits.value)');
  assert.deepEqual(near.storage.records.slice(2).map(({ type, code, key, message }) => [type, code, key, message]), [
    ["warning", "limit", "s", 'the data of signal "s" is larger than 80 % of 10 bytes (limits.value)'],
    ["requested", undefined, "s", undefined],
  ]);
});
