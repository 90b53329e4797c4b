import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { test } from "node:test";

import { Process, Storage, beforeEnd, carryOut, cutAfter } from "./support/memory.mjs";

const fast = () => performance.now() * 50;
const requests = (storage) => storage.of("requested").map(({ key, after }) => `${key}@${after}`);
const strangers = [];
process.on("unhandledRejection", (reason) => strangers.push(reason));

async function documented(input, { step, sleep }) {
  const greeting = await step("greet", () => `Hello, ${input.name}!`);
  await sleep("wait", 5);
  return await step("complete", () => ({ message: greeting }));
}

test("a run leaves a request and a result for every call, and its end", async () => {
  const storage = await carryOut(documented, { order: { input: { name: "World" } } });

  assert.deepEqual(
    storage.records.slice(2).map(({ type, key, kind, try: number }) => [type, key, kind, number].filter((part) => part !== undefined)),
    [
      ["requested", "greet", "step", 1],
      ["completed", "greet", 1],
      ["requested", "wait", "sleep"],
      ["completed", "wait"],
      ["requested", "complete", "step", 1],
      ["completed", "complete", 1],
      ["finished"],
    ],
  );
  assert.deepEqual(requests(storage), ["greet@0", "wait@1", "complete@2"]);
  assert.deepEqual(storage.finished.output, { message: "Hello, World!" });
});

test("a replay runs no recorded step again, from every prefix of the journal", async () => {
  const whole = await carryOut(documented, { order: { input: { name: "World" } } });
  for (let count = 1; count < whole.records.length; count++) {
    const storage = cutAfter(whole, count);
    const recorded = new Set(storage.of("completed").map(({ key }) => key));
    const ran = [];
    const watched = (input, api) => documented(input, { ...api, step: (name, fn) => api.step(name, () => (ran.push(name), fn())) });
    await carryOut(watched, { storage });

    assert.ok(ran.every((name) => !recorded.has(name)), `${ran} after ${count} records`);
    assert.deepEqual(storage.finished.output, whole.finished.output);
  }
});

test("names that repeat are numbered, whatever their kind", async () => {
  const storage = await carryOut(async (_, { step, sleep }) => {
    for (let turn = 0; turn < 2; turn++) await step("a", () => turn);
    await sleep("a", 0);
  });

  assert.deepEqual(storage.of("requested").map(({ key }) => key), ["a", "a#2", "a#3"]);
});

test("parallel results share a sync, and are released one at a time in journal order", async () => {
  const storage = new Storage();
  const seen = [];
  const one = new Process(storage, async (_, { step }) => {
    await Promise.all(Array.from({ length: 50 }, (_each, index) => step("s", () => index).then((value) => seen.push(value))));
  });
  await one.ended;

  assert.deepEqual(seen, Array.from({ length: 50 }, (_each, index) => index));
  assert.equal(one.journal.syncs, 2);
});

test("a value that is released has been through JSON, live as in a replay", async () => {
  const seen = [];
  const workflow = async (_, { step }) => {
    seen.push(await step("a", () => ({ at: new Date(0), gone: undefined, list: [undefined, -0] })), await step("b", () => undefined));
  };
  const storage = await carryOut(workflow);
  await carryOut(workflow, { storage: beforeEnd(storage) });

  assert.deepEqual(seen.slice(0, 2), [{ at: "1970-01-01T00:00:00.000Z", list: [null, 0] }, null]);
  assert.deepEqual(seen.slice(2), seen.slice(0, 2));
});

test("what the code does to a value does not change the journal", async () => {
  const workflow = async (input, { step }) => {
    const value = await step("a", () => ({ n: 1 }));
    value.n += input.n++;
    if (value.n === 2 && input.first) throw new Error("again");
    return [value.n, input.n];
  };
  const order = { input: { n: 1, first: false }, settings: { retry: { max_attempts: 2, initial_interval_ms: 1 } } };

  assert.deepEqual((await carryOut(workflow, { order })).finished.output, [2, 2]);
});

test("calls with wrong arguments are refused with what is wrong", async () => {
  const cases = {
    "step(name, fn, options): name must be text, got a function": ({ step }) => step(() => 1),
    'step(name, fn, options): name must have 1 to 200 bytes, got ""': ({ step }) => step("", () => 1),
    'step(name, fn, options): name must not contain "~", got "a~1"': ({ step }) => step("a~1", () => 1),
    'step(name, fn, options): name must not end in "#" and digits, got "a#2"': ({ step }) => step("a#2", () => 1),
    'step(name, fn, options): name must not begin with "ty/", got "ty/a"': ({ step }) => step("ty/a", () => 1),
    'step(name, fn, options): name must be text without control characters, got "a\\nb"': ({ step }) => step("a\nb", () => 1),
    "step(name, fn, options): fn must be a function, got 5": ({ step }) => step("a", 5),
    "step(name, fn, options): options must be an object, got 5": ({ step }) => step("a", () => 1, 5),
    "step(name, fn, options): options.retries is unknown; known are retry, timeout, heartbeatTimeout, onInDoubt, compensate": ({ step }) => step("a", () => 1, { retries: 1 }),
    "step(name, fn, options): options.retry.maxAttempts must be a whole number, 0 for no limit, got -1": ({ step }) => step("a", () => 1, { retry: { maxAttempts: -1 } }),
    "step(name, fn, options): options.retry.factor must be a number of at least 1, got 0.5": ({ step }) => step("a", () => 1, { retry: { factor: 0.5 } }),
    'step(name, fn, options): options.timeout must be milliseconds or text such as "500ms", "30s", "1h30m" or "7d", got "soon"': ({ step }) => step("a", () => 1, { timeout: "soon" }),
    "sleep(name, duration): name must be text, got 5000": ({ sleep }) => sleep(5000),
    'sleep(name, duration): duration must be milliseconds or text such as "500ms", "30s", "1h30m" or "7d", got undefined': ({ sleep }) => sleep("a"),
  };
  for (const [message, call] of Object.entries(cases)) {
    const storage = await carryOut((_, api) => call(api));

    assert.deepEqual([storage.finished.error?.name, storage.finished.error?.message], ["TypeError", message]);
    assert.deepEqual(requests(storage), []);
  }
});

test("a call inside the body of a step is refused", async () => {
  const storage = await carryOut((_, { step }) => step("outer", () => step("inner", () => 1), { retry: { maxAttempts: 1 } }));

  assert.equal(storage.finished.error.message, 'step "inner" was called inside the body of step "outer": call it from the workflow');
});

test("a call whose kind differs from the recorded one fails the run for good", async () => {
  const storage = beforeEnd(await carryOut((_, { step }) => step("a", () => 1)));
  storage.records[0].settings = { retry: { max_attempts: 5 } };
  await carryOut((_, { sleep }) => sleep("a", 5), { storage });

  assert.equal(storage.finished.error.name, "NonDeterminismError");
  assert.equal(storage.finished.error.message, 'sleep "a" was recorded as a step: the code has changed since');
});

test("a body that ends without asking for what is recorded fails the run, and names the first difference", async () => {
  const storage = beforeEnd(await carryOut(async (_, { step }) => [await step("a", () => 1), await step("b", () => 2)]));
  await carryOut((_, { step }) => step("a", () => 1), { storage });

  assert.equal(storage.finished.error.name, "NonDeterminismError");
  assert.match(storage.finished.error.message, /^the journal holds step "b" here, the code did not ask for it/);
});

test("a renamed step is not started: the claim ends after a grace", async () => {
  const storage = beforeEnd(await carryOut((_, { step }) => step("a", () => 1)));
  const ran = [];
  await carryOut((_, { step }) => step("b", () => ran.push(1)), { storage, elapsed: fast });

  assert.deepEqual(ran, []);
  assert.equal(storage.records.at(-1).reason, "grace");
  assert.match(storage.of("warning")[0].message, /^the journal holds step "a" here, the code asked for step "b"/);
});

test("code that waits for a result behind a request that it never makes gives up after a grace", async () => {
  const storage = beforeEnd(await carryOut((_, { step }) => Promise.all([step("a", () => 1), step("b", () => 2)])));
  await carryOut((_, { step }) => step("a", () => 1), { storage, elapsed: fast });

  assert.equal(storage.records.at(-1).reason, "grace");
  assert.match(storage.of("warning")[0].message, /^the journal holds step "b" here, the code did not ask for it/);
});

test("what a killed process has written is synced before the code sees it", async () => {
  const workflow = async (_, { step }) => [await step("a", () => 1), one?.journal.syncs];
  let one;
  const storage = beforeEnd(await carryOut(workflow));
  one = new Process(storage, workflow);
  await one.ended;

  assert.deepEqual(storage.finished.output, [1, 1]);
});

test("a step that was abandoned is not started by a replay", async () => {
  const ran = [];
  const workflow = async (_, { step }) => {
    step("stubborn", () => (ran.push(1), new Promise(() => undefined)));
    return step("quick", () => 1);
  };
  const storage = beforeEnd(await carryOut(workflow, { order: { settings: { cancel: { grace_ms: 5 } } } }));
  await carryOut(workflow, { storage });

  assert.deepEqual([ran, storage.finished.output], [[1], 1]);
});

test("a body that ends sooner than it did lets its branches ask for what they had asked for", async () => {
  let pause = 30;
  const workflow = async (_, { step }) => {
    const branch = async () => {
      await step("a", () => 1);
      await step("b", () => 2);
    };
    branch();
    await step("x", () => 0);
    await delay(pause);
  };
  const storage = beforeEnd(await carryOut(workflow, { foreign: () => true }));
  pause = 0;
  await carryOut(workflow, { storage });

  assert.deepEqual([requests(storage).length, storage.finished.status], [3, "completed"]);
});

test("the grace does not run while something foreign is pending", async () => {
  const storage = beforeEnd(await carryOut((_, { step }) => step("a", () => 1)));
  let pending = true;
  const workflow = async (_, { step }) => {
    const other = step("late", () => 2);
    await delay(100);
    pending = false;
    return [await step("a", () => 1), await other];
  };
  await carryOut(workflow, { storage, elapsed: fast, foreign: () => pending });

  assert.deepEqual(storage.finished.output, [1, 2]);
});

test("branches that wait for outside I/O between their steps are followed", async () => {
  const workflow = async (_, { step }) => {
    const branch = async (name) => {
      const first = await step(`${name}1`, () => Math.random());
      await delay(Math.random() * 6);
      return [first, await step(`${name}2`, () => Math.random())];
    };
    return Promise.all(["a", "b", "c"].map(branch));
  };
  for (let round = 0; round < 10; round++) {
    const whole = await carryOut(workflow, { foreign: () => true });
    const storage = beforeEnd(whole);
    await carryOut(workflow, { storage, foreign: () => true });
    assert.deepEqual(storage.finished.output, whole.finished.output);
  }
});

test("a failure that nobody awaits is no stray rejection", async () => {
  const storage = await carryOut(async (_, { step, sleep }) => {
    step("lost", () => { throw new Error("x"); }, { retry: { maxAttempts: 1 } });
    await sleep("a", 5);
  });
  await delay(5);

  assert.equal(storage.finished.status, "completed");
  assert.deepEqual(strangers, []);
});

test("when the body ends first, steps in flight are told, waited for, and recorded", async () => {
  const order = { settings: { cancel: { grace_ms: 30 } } };
  const reasons = [];
  const storage = await carryOut(
    async (_, { step }) => {
      step("stubborn", () => new Promise(() => undefined));
      step("polite", ({ signal }) => new Promise((resolve) => signal.addEventListener("abort", () => resolve(reasons.push(signal.reason.name)))));
      step("failing", ({ signal }) => new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason))));
      return step("quick", () => 1);
    },
    { order },
  );

  assert.deepEqual(reasons, ["AbortError"]);
  assert.deepEqual(storage.records.slice(-4).map(({ type, key }) => [type, key]), [["completed", "polite"], ["failed", "failing"], ["abandoned", "stubborn"], ["finished", undefined]]);
});

test("calls after the end of the body start nothing", async () => {
  let late;
  const ran = [];
  const storage = await carryOut(async (_, { step }) => {
    late = () => step("late", () => ran.push(1));
  });
  late();
  await delay(5);

  assert.deepEqual([ran, requests(storage)], [[], []]);
});

test("limits of calls and values are errors that are not retried", async () => {
  const order = { settings: { limits: { calls: 2, value: 10 } } };
  const many = await carryOut(async (_, { step }) => { for (let turn = 0; turn < 3; turn++) await step("a", () => turn); }, { order });
  const large = await carryOut((_, { step }) => step("a", () => "x".repeat(9)), { order });
  const output = await carryOut(() => "x".repeat(9), { order });

  assert.equal(many.finished.error.message, "more than 2 calls in one run (limits.calls)");
  assert.equal(large.finished.error.message, 'the result of step "a" is larger than 10 bytes (limits.value)');
  assert.equal(output.finished.error.message, "what the workflow returned is larger than 10 bytes (limits.value)");
  assert.equal(large.of("retrying").length, 0);
});

test("run tells who it is, and is frozen", async () => {
  const order = { incarnation: 3, revision: "r", version: "1.0.0" };
  const storage = await carryOut((_, { run }) => [Object.isFrozen(run), run.id, run.uid, run.incarnation, run.revision, run.version], { order });

  assert.deepEqual(storage.finished.output, [true, "run", "uid", 3, "r", "1.0.0"]);
});
