// Random workflows: every seed is a program of branches, loops, repeated names, sleeps, retries, caught failures and races.

const NAMES = ["fetch", "store", "mail", "sum", "check"];

/** Return a generator of numbers in [0, 1) that a seed determines. */
export function randomFrom(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Return the program of a seed: a list of operations, some of which hold lists. */
export function generate(seed) {
  const random = randomFrom(seed);
  return block(random, 3, 2 + pick(random, 6));
}

function pick(random, count) {
  return Math.floor(random() * count);
}

function block(random, depth, length) {
  return Array.from({ length }, () => operation(random, depth));
}

function operation(random, depth) {
  const inner = (most) => block(random, depth - 1, 1 + pick(random, most));
  const choice = depth === 0 ? pick(random, 60) : pick(random, 100);
  if (choice < 42) return stepOf(random);
  if (choice < 52) return { op: "sleep", name: NAMES[pick(random, 3)], ms: pick(random, 7) };
  if (choice < 60) return { op: "yield", turns: 1 + pick(random, 4) };
  if (choice < 84) return { op: ["all", "allSettled", "race", "any"][pick(random, 4)], branches: Array.from({ length: 2 + pick(random, 3) }, () => inner(3)) };
  if (choice < 89) return { op: "loop", times: 1 + pick(random, 4), body: inner(2) };
  if (choice < 93) return { op: "if", then: inner(2), otherwise: inner(2) };
  if (choice < 97) return { op: "try", body: inner(3), handler: inner(1) };
  return { op: "detached", body: inner(2) };
}

function stepOf(random) {
  const fails = random() < 0.25 ? 1 + pick(random, 2) : 0;
  const attempts = fails > 0 && random() < 0.5 ? fails : fails + 1;
  return { op: "step", name: NAMES[pick(random, NAMES.length)], ms: random() < 0.5 ? -1 : pick(random, 5), fails, attempts };
}

/**
 * Return the workflow function of the program that the input's seed is.
 * `execute(key)` is the effect of a step, `observe(value)` is told what the code gets for one.
 */
export function interpret(execute, observe = () => undefined) {
  return async ({ seed }, calls) => {
    const machine = { ...calls, execute, observe, log: [], last: 0 };
    await runBlock(machine, generate(seed));
    return machine.log;
  };
}

async function runBlock(machine, operations) {
  for (const operation of operations) await OPERATIONS[operation.op](machine, operation);
  return machine.last;
}

function note(machine, value) {
  machine.last = value;
  machine.log.push(value);
}

const OPERATIONS = {
  async step(machine, { name, ms, fails, attempts }) {
    const effect = ({ key, attempt }) => {
      const value = machine.execute(key);
      if (attempt <= fails) throw new RangeError(`failed ${value}`);
      return value;
    };
    const later = async (context) => {
      await new Promise((resolve) => setTimeout(resolve, ms));
      return effect(context);
    };
    const retry = { maxAttempts: attempts, initialInterval: 2, jitter: false };
    try {
      note(machine, await machine.step(name, ms < 0 ? effect : later, { retry }));
    } catch (error) {
      machine.observe(error.message);
      throw error;
    }
    machine.observe(machine.last);
  },
  async sleep(machine, { name, ms }) {
    await machine.sleep(name, ms);
    note(machine, name);
  },
  async yield(_machine, { turns }) {
    for (let turn = 0; turn < turns; turn++) await (turn % 2 === 0 ? null : new Promise((resolve) => process.nextTick(resolve)));
  },
  all: (machine, { branches }) => together(machine, "all", branches),
  allSettled: (machine, { branches }) => together(machine, "allSettled", branches),
  race: (machine, { branches }) => together(machine, "race", branches),
  any: (machine, { branches }) => together(machine, "any", branches),
  async loop(machine, { times, body }) {
    for (let turn = 0; turn < times; turn++) await runBlock(machine, body);
  },
  if: (machine, { then, otherwise }) => runBlock(machine, String(machine.last).charCodeAt(0) % 2 === 0 ? then : otherwise),
  async try(machine, { body, handler }) {
    try {
      await runBlock(machine, body);
    } catch (error) {
      note(machine, `${error.name}: ${error.message}`);
      await runBlock(machine, handler);
    }
  },
  async detached(machine, { body }) {
    runBlock(machine, body).catch((error) => note(machine, error.message));
  },
};

async function together(machine, way, branches) {
  const results = await Promise[way](branches.map((branch) => runBlock(machine, branch)));
  const texts = way === "allSettled" ? results.map(({ value, reason }) => value ?? reason.message) : results;
  note(machine, JSON.stringify(texts));
}
