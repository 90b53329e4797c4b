import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { test } from "node:test";

import { Process, Storage, beforeEnd, carryOut, cutAfter, until } from "./support/memory.mjs";

// Worked out by Python's hmac.
const KNOWN = [0.6944079658717189, "4a9d0b58-3d53-43d6-b72d-7d2fe9d69ed1", 0.7400826898771298];
const keys = (storage) => storage.of("requested").map(({ key, kind, after }) => `${key} ${kind} ${after}`);

test("now, random and uuid return at once, and the same in every replay", async () => {
  const workflow = async (_, { now, random, uuid, step }) => {
    const values = [now(), random(), uuid(), random("dice"), uuid("order")];
    await step("s", () => delay(5));
    return [...values, await now(), random(), uuid("order")];
  };
  const whole = await carryOut(workflow);
  await delay(5);
  for (let count = 3; count < whole.records.length; count++) {
    const storage = cutAfter(whole, count);
    await carryOut(workflow, { storage });
    const [now, ...others] = storage.finished.output;

    assert.equal(now, whole.finished.output[0]);
    assert.deepEqual(others.toSpliced(4, 1), whole.finished.output.slice(1).toSpliced(4, 1));
  }
  assert.deepEqual(keys(whole), ["ty/now now 0", "ty/random random 0", "ty/uuid uuid 0", "dice random 0", "order uuid 0", "s step 0", "ty/now#2 now 1", "ty/random#2 random 1", "order#2 uuid 1"]);
  assert.equal(whole.of("completed").length, 1);
  assert.deepEqual(whole.of("requested").map(({ value }) => typeof value).filter((type) => type === "number").length, 2);
  assert.ok(Math.abs(whole.finished.output[0] - Date.now()) < 60_000);
});

test("random and uuid are derived from seed and key", async () => {
  const workflow = (_, { random, uuid }) => [random("r"), uuid("u")];
  const digest = (key) => createHmac("sha256", "grain").update(key).digest();
  const { finished } = await carryOut(workflow, { order: { seed: "grain" } });
  const other = await carryOut(workflow);
  const bits = BigInt(`0x${digest("r").toString("hex").slice(0, 16)}`) >> 11n;
  const hex = digest("u").toString("hex");

  assert.equal(finished.output[0], Number(bits) / 2 ** 53);
  assert.match(finished.output[1], /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.equal(finished.output[1].slice(0, 13), `${hex.slice(0, 8)}-${hex.slice(8, 12)}`);
  assert.notDeepEqual(other.finished.output, finished.output);
});

test("known values, which both languages share", async () => {
  const { finished } = await carryOut((_, { random, uuid }) => [random(), uuid(), random("dice")], { order: { uid: "u1" } });

  assert.deepEqual(finished.output, KNOWN);
});

test("a call that returns at once and was not recorded waits in its turn with the others", async () => {
  const workflow = (more) => async (_, { step, uuid, now }) => {
    const first = await step("a", () => 1);
    const values = more ? [uuid("u"), now()] : [];
    return [first, values.length, await step("b", () => 2)];
  };
  const whole = await carryOut(workflow(true));
  const storage = cutAfter(whole, whole.records.findIndex(({ key }) => key === "u"));
  await carryOut(workflow(true), { storage });
  const removed = beforeEnd(whole);
  await carryOut(workflow(false), { storage: removed, elapsed: () => performance.now() * 50 });

  assert.deepEqual(keys(storage), ["a step 0", "u uuid 1", "ty/now now 1", "b step 1"]);
  assert.match(removed.of("warning")[0]?.message ?? removed.finished.error.message, /^the journal holds uuid "u" here/);
});

test("a recorded call of another kind fails the run", async () => {
  const storage = beforeEnd(await carryOut((_, { uuid }) => uuid("x")));
  await carryOut((_, { random }) => random("x"), { storage });

  assert.equal(storage.finished.error.message, 'random "x" was recorded as a uuid: the code has changed since');
});

test("every now that was given out is durable before a step's body starts, and before something is asked of others", async () => {
  for (const alone of [true, false]) {
    const durable = [];
    const look = () => durable.push(one.storage.durable > one.storage.records.findIndex(({ kind }) => kind === "now"));
    const workflow = async (_, { now, step, runWorkflow }) => {
      now();
      await step("s", look);
      now();
      now();
      await Promise.all([step("t", look), step("u", look)]);
      now();
      runWorkflow("child", now());
      look();
    };
    const one = new Process(new Storage(), workflow, { alone: () => alone });
    await one.ended;
    const last = one.storage.of("requested").find(({ kind }) => kind === "child");

    assert.deepEqual(durable, [true, true, true, true]);
    assert.ok(one.storage.records.indexOf(last) <= one.storage.durable);
  }
});

test("nothing is synced for a step without a now before it", async () => {
  const one = new Process(new Storage(), async (_, { random, uuid, step }) => [random(), uuid(), await step("s", () => one.journal.syncs)]);
  await one.ended;

  assert.equal(one.storage.finished.output[2], 0);
});

test("a now that a killed process has left is made durable before it is used again", async () => {
  const workflow = async (_, { now, step }) => { now(); return step("s", () => two?.storage.durable); };
  let two;
  const one = new Process(new Storage(), async (_, { now }) => { now(); await new Promise(() => undefined); });
  await until(() => one.storage.of("requested").length === 1);
  one.kill();
  two = new Process(one.storage, workflow);
  await two.ended;

  assert.ok(two.storage.finished.output >= 3);
});

test("a further attempt of the body gets the same time", async () => {
  const order = { settings: { retry: { max_attempts: 2, initial_interval_ms: 5, jitter: false } } };
  const seen = [];
  const storage = await carryOut((_, { now, uuid, onCancel }) => { onCancel(() => 1); if (seen.push([now(), uuid()]) === 1) throw new Error("again"); }, { order });
  const given = await carryOut((_, { now }) => now(), { order: { memo: [{ key: "ty/now", kind: "now", value: 12 }] } });

  assert.deepEqual(seen[0], seen[1]);
  assert.deepEqual(storage.of("requested").map(({ kind, memo, value }) => [kind, memo, value === undefined]), [
    ["on-cancel", undefined, true], ["now", undefined, false], ["uuid", undefined, true], ["on-cancel", true, true], ["now", true, false], ["uuid", undefined, true],
  ]);
  assert.equal(given.finished.output, 12);
});

test("patched is true in a new run, and in every replay of it", async () => {
  const workflow = async (_, { patched, step }) => [patched("v2"), await step("a", () => 1), patched("v2")];
  const whole = await carryOut(workflow);
  const storage = beforeEnd(whole);
  await carryOut(workflow, { storage });

  assert.deepEqual([whole.finished.output, storage.finished.output], [[true, 1, true], [true, 1, true]]);
  assert.deepEqual(storage.of("marker").map(({ id }) => id), ["v2"]);
});

test("patched is false where the journal was written by the old code, and stays so in that attempt", async () => {
  const old = cutAfter(await carryOut(async (_, { step }) => [await step("a", () => 1), await step("b", () => 2)]), 6);
  const asked = [];
  await carryOut(async (_, { patched, step }) => {
    asked.push(patched("v2"));
    await step("a", () => 1);
    asked.push(patched("later"));
    await step("b", () => 2);
    asked.push(patched("v2"), patched("end"));
  }, { storage: old });

  assert.deepEqual(asked, [false, false, false, true]);
  assert.deepEqual(old.of("marker").map(({ id }) => id), ["end"]);
});

test("what returns at once is refused inside of a step, and with wrong arguments, where it is called", async () => {
  const cases = {
    'now "ty/now" was called inside the body of step "s": call it from the workflow': ({ step, now }) => step("s", () => now()),
    'uuid "u" was called inside the body of step "s": call it from the workflow': ({ step, uuid }) => step("s", () => uuid("u")),
    'patched "v2" was called inside the body of step "s": call it from the workflow': ({ step, patched }) => step("s", () => patched("v2")),
    "random(name): name must be text, got 5": ({ random }) => random(5),
    'uuid(name): name must not begin with "ty/", got "ty/x"': ({ uuid }) => uuid("ty/x"),
    "patched(id): id must be text, got undefined": ({ patched }) => patched(),
    "onCancel(fn): fn must be a function, got undefined": ({ onCancel }) => onCancel(),
  };
  for (const [message, call] of Object.entries(cases)) {
    const storage = await carryOut((_, api) => call(api));

    assert.equal(storage.finished.error?.message, message);
  }
});

test("a name that is used again outside of what a result has woken, beside open calls, is a warning, once", async () => {
  let begin;
  let end;
  const [begun, ended] = [new Promise((resolve) => (begin = resolve)), new Promise((resolve) => (end = resolve))];
  const first = (step) => step("get", () => { begin(); return ended; });
  const second = async (step) => {
    await begun;
    await delay(2);
    const got = step("get", () => 2);
    end(1);
    return got;
  };
  const storage = await carryOut((_, { step }) => Promise.all([first(step), second(step)]), { foreign: () => true });
  const woken = await carryOut(async (_, { step }) => {
    const again = async () => { await step("a", () => 1); await null; await step("get", () => delay(5)); };
    await Promise.all([again(), again()]);
  });
  const alone = await carryOut(async (_, { step }) => { for (let turn = 0; turn < 3; turn++) { await delay(2); await step("get", () => turn); } });

  assert.deepEqual(storage.of("warning").map(({ code, key }) => [code, key]), [["repeated-name", "get#2"]]);
  assert.match(storage.of("warning")[0].message, /^the name of "get#2" was used before, while other calls were open/);
  assert.deepEqual([woken.of("warning"), alone.of("warning")], [[], []]);
});

test("sleepUntil waits until an instant, however it is written", async () => {
  const instant = Date.now() + 40;
  const storage = await carryOut(async (_, { sleepUntil }) => {
    await Promise.all([sleepUntil("date", new Date(instant)), sleepUntil("ms", instant - 0.5), sleepUntil("text", new Date(instant).toISOString())]);
    await sleepUntil("past", 0);
    return sleepUntil("zone", "2020-02-29 12:00:00.1234+0530");
  });
  const [date, ms, text, past, zone] = storage.of("requested");

  assert.ok([date, ms, text].every(({ kind, until: due }) => kind === "sleep" && Date.parse(due) === instant));
  assert.deepEqual([past.until, zone.until], ["1970-01-01T00:00:00.000Z", "2020-02-29T06:30:00.124Z"]);
  assert.ok(storage.of("completed").slice(0, 3).every(({ at }) => Date.parse(at) >= instant));
  assert.equal(storage.finished.output, null);
});

test("what is no instant is refused", async () => {
  for (const [given, shown] of [["tomorrow", '"tomorrow"'], ["2026-01-01T00:00:00", '"2026-01-01T00:00:00"'], [undefined, "undefined"], [1e18, "1000000000000000000"], [new Date(NaN), "a Date beyond that"]]) {
    const { finished } = await carryOut((_, { sleepUntil }) => sleepUntil("a", given));

    assert.equal(finished.error.message, `sleepUntil(name, instant): instant must be a Date, milliseconds since 1970 or text with a zone such as "2026-11-22T14:37:00Z", got ${shown}`);
  }
});

test("what was given out is recorded also where the body ends while results of others are not released", async () => {
  const workflow = async (_, { step, now }) => {
    // Both end before either is released: the code needs only the first.
    await Promise.race([step("a", () => 1), step("b", () => 2)]);
    return now();
  };
  const whole = await carryOut(workflow);
  const storage = cutAfter(whole, whole.records.findIndex(({ kind }) => kind === "now"));
  await carryOut(workflow, { storage });
  const again = beforeEnd(storage);
  await delay(2);
  await carryOut(workflow, { storage: again });

  assert.equal(storage.of("requested").filter(({ kind }) => kind === "now").length, 1);
  assert.equal(again.finished.output, storage.finished.output);
});
