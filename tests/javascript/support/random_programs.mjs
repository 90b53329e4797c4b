// Random workflows: every seed is a program of branches, loops, repeated names, sleeps, signals, times, chance, retries, caught failures and races.
// Whoever carries one out sends signals with the names in SIGNALS until it ends.

export const SIGNALS = ["go", "stop", "more"];
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

/**
 * Return the program of a seed: a list of operations, some of which hold lists. With `io` it waits for
 * more than its calls, as far as that can be followed: no name in two branches, and no race.
 */
export function generate(seed, io = false) {
  const random = Object.assign(randomFrom(seed), { io, names: 0 });
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
  if (choice < 30) return stepOf(random);
  if (choice < 36) return signalOf(random);
  if (choice < 44) return chanceOf(random);
  if (choice < 52) return { op: "sleep", name: nameOf(random, 3), ms: pick(random, 7) };
  if (choice < 60) return random.io ? { op: "io", ms: pick(random, 4) } : { op: "yield", turns: 1 + pick(random, 4) };
  const ways = random.io ? ["all", "allSettled"] : ["all", "allSettled", "race", "any"];
  if (choice < 84) return { op: "together", way: ways[pick(random, ways.length)], branches: Array.from({ length: 2 + pick(random, 3) }, () => inner(3)) };
  if (choice < 89) return { op: "loop", times: 1 + pick(random, 4), body: inner(2) };
  if (choice < 93) return { op: "if", then: inner(2), otherwise: inner(2) };
  if (choice < 97) return { op: "try", body: inner(3), handler: inner(1) };
  return random.io ? stepOf(random) : { op: "detached", body: inner(2) };
}

function stepOf(random) {
  const fails = random() < 0.25 ? 1 + pick(random, 2) : 0;
  const attempts = fails > 0 && random() < 0.5 ? fails : fails + 1;
  return { op: "step", name: nameOf(random, NAMES.length), ms: random() < 0.5 ? -1 : pick(random, 5), fails, attempts };
}

function signalOf(random) {
  const signal = SIGNALS[pick(random, SIGNALS.length)];
  // Without a name of its own it is one name in many branches.
  return { op: "signal", signal, name: random.io ? `${signal}-${random.names++}` : undefined, timeout: random() < 0.5 ? pick(random, 7) : undefined };
}

function chanceOf(random) {
  // What has no name cannot be told apart in branches that wait for more than their calls.
  const kinds = random.io ? ["random", "uuid"] : ["now", "random", "uuid"];
  const kind = kinds[pick(random, kinds.length)];
  return { op: "chance", kind, name: random.io || random() < 0.5 ? nameOf(random, NAMES.length) : undefined };
}

function nameOf(random, count) {
  const name = NAMES[pick(random, count)];
  return random.io ? `${name}-${random.names++}` : name;
}

/**
 * Return the workflow function of the program that the input's seed is. `execute(key)` is the effect of a step,
 * `observe(value)` is told what the code gets for one, and `outside(count)` when it begins (1) or ends (-1) to wait for something else.
 */
export function interpret({ execute, observe = () => undefined, outside = () => undefined }) {
  return async ({ seed, io }, calls) => {
    const machine = { ...calls, execute, observe, outside, order: [] };
    const trail = await runBlock(machine, generate(seed, io), 0);
    // What waits for more than its calls has no order between branches that it could keep.
    return io ? trail.log : [trail.log, machine.order];
  };
}

async function runBlock(machine, operations, last) {
  const trail = { last, log: [] };
  for (const operation of operations) await OPERATIONS[operation.op](machine, operation, trail);
  return trail;
}

async function nested(machine, operations, trail) {
  const { last, log } = await runBlock(machine, operations, trail.last);
  trail.log.push(log);
  trail.last = last;
}

function note(machine, trail, value) {
  trail.last = value;
  trail.log.push(value);
  machine.order.push(value);
}

const OPERATIONS = {
  async step(machine, { name, ms, fails, attempts }, trail) {
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
      note(machine, trail, await machine.step(name, ms < 0 ? effect : later, { retry }));
    } catch (error) {
      machine.observe(error.message);
      throw error;
    }
    machine.observe(trail.last);
  },
  async sleep(machine, { name, ms }, trail) {
    await machine.sleep(name, ms);
    note(machine, trail, name);
  },
  async signal(machine, { signal, name, timeout }, trail) {
    const approval = timeout === undefined ? undefined : { title: `${signal}?`, description: `within ${timeout} ms` };
    note(machine, trail, await machine.waitForSignal(signal, { name, timeout, approval }));
  },
  chance(machine, { kind, name }, trail) {
    note(machine, trail, kind === "now" ? machine.now() : machine[kind](name));
  },
  async yield(_machine, { turns }) {
    for (let turn = 0; turn < turns; turn++) await (turn % 2 === 0 ? null : new Promise((resolve) => process.nextTick(resolve)));
  },
  async io(machine, { ms }) {
    machine.outside(1);
    await new Promise((resolve) => setTimeout(resolve, ms));
    machine.outside(-1);
  },
  async together(machine, { way, branches }, trail) {
    const results = await Promise[way](branches.map((branch) => runBlock(machine, branch, trail.last)));
    const logs = way === "allSettled" ? results.map(({ value, reason }) => value?.log ?? reason.message) : [results].flat().map(({ log }) => log);
    note(machine, trail, JSON.stringify(logs));
  },
  async loop(machine, { times, body }, trail) {
    for (let turn = 0; turn < times; turn++) await nested(machine, body, trail);
  },
  if: (machine, { then, otherwise }, trail) => nested(machine, String(trail.last).charCodeAt(0) % 2 === 0 ? then : otherwise, trail),
  async try(machine, { body, handler }, trail) {
    try {
      await nested(machine, body, trail);
    } catch (error) {
      note(machine, trail, `${error.name}: ${error.message}`);
      await nested(machine, handler, trail);
    }
  },
  async detached(machine, { body }, trail) {
    runBlock(machine, body, trail.last).catch((error) => note(machine, trail, error.message));
  },
};
