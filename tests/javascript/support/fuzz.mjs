// Carries random programs out under random kills, and checks what the journal promises.

import { isDeepStrictEqual } from "node:util";

import { Process, Storage } from "./memory.mjs";
import { SIGNALS, interpret, randomFrom } from "./random_programs.mjs";

const MOST_CLAIMS = 400;
const SLOWEST_MS = 30_000;
// The grace of 2 s is over in 100 ms.
const elapsed = () => performance.now() * 20;

/**
 * Carry out the program of `seed` under kills, replay it, and return what happened; throws what was violated.
 * With `io` the program waits for more than its calls: then a replay may differ, which is counted.
 */
export async function carryOutUnderKills(seed, { io = false } = {}) {
  const random = randomFrom(seed ^ 0x5eed);
  const world = { random, storage: new Storage(orderOf({ seed, io }, random)), executed: 0, sent: 0, kills: 0, claims: 0, refused: 0 };
  while (world.storage.finished === undefined) {
    if (++world.claims > MOST_CLAIMS) throw new Error(`seed ${seed}: no end after ${MOST_CLAIMS} claims`);
    await claimOnce(world);
  }
  if (world.violation) throw world.violation;
  checkTries(world.storage);
  checkMessages(world.storage);
  if (world.refused > 0 && !io) throw new Error(`seed ${seed}: a pure program did not repeat itself: ${JSON.stringify(world.storage.of("warning"))}`);
  const difference = await replay(world.storage, io);
  if (difference !== undefined && !io) throw new Error(`seed ${seed}: ${difference}`);
  const { kills, claims, executed: steps, refused } = world;
  return { kills, claims, steps, refused, differing: difference === undefined ? 0 : 1 };
}

function orderOf(input, random) {
  const retry = { max_attempts: random() < 0.3 ? 2 : 1, initial_interval_ms: 1, jitter: false };
  return { input, settings: { retry, cancel: { grace_ms: 3 } } };
}

async function claimOnce(world) {
  const { random, storage } = world;
  const killAt = random() < 0.85 ? Math.floor(random() * 30) : Infinity;
  const blocking = random() < 0.5;
  let appends = 0;
  let process = null;
  let pending = 0;
  const onAppend = () => {
    if (process === null || appends++ < killAt) return undefined;
    kill(world, process);
    return "lost";
  };
  const settings = { onAppend, parkAfter: random() < 0.3 ? 2 : 1e9, alone: () => blocking, syncMs: () => random() * 3, foreign: () => pending > 0, elapsed };
  const completed = new Set(storage.of("completed").filter((record) => record.try).map(({ key }) => key));
  const workflow = interpret({
    execute: (key) => execute(world, process, completed, key),
    observe: (value) => observe(world, process, value),
    outside: (count) => (pending += count),
  });
  process = new Process(storage, workflow, settings);
  const stop = sendSignals(world, process);
  await withinTime(process);
  stop();
  process.alive = false;
  const last = storage.records.at(-1);
  if (last.reason === "grace") world.refused += 1;
  if (last.type === "parked" && last.until !== undefined) await new Promise((resolve) => setTimeout(resolve, Date.parse(last.until) - Date.now()));
}

/** Send signals at random moments, of which not every one wakes the process. */
function sendSignals(world, process) {
  const { random, storage } = world;
  let timer;
  const send = () => {
    world.sent += 1;
    storage.inbox.push({ type: "signal", id: `${world.sent}`, name: SIGNALS[Math.floor(random() * SIGNALS.length)], data: world.sent });
    if (random() < 0.8) process.readInbox();
    timer = setTimeout(send, random() * 8);
  };
  timer = setTimeout(send, random() * 8);
  return () => clearTimeout(timer);
}

function withinTime(process) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`it hangs: ${JSON.stringify(process.storage.records.slice(-5))}`)), SLOWEST_MS);
  });
  const killed = new Promise((resolve) => (process.killed = resolve));
  return Promise.race([process.ended, killed, late]).finally(() => clearTimeout(timer));
}

/** End the process; of what was not synced, a power cut takes a random part, and kill -9 nothing. */
function kill(world, process) {
  const { random, storage } = world;
  process.kill();
  world.kills += 1;
  if (random() < 0.6) storage.cut(storage.durable + Math.floor(random() * (storage.records.length - storage.durable + 1)));
  process.killed?.();
}

function execute(world, process, completed, key) {
  if (!process.alive) return 0;
  if (completed.has(key.slice("uid/".length))) world.violation = new Error(`step ${key} ran again though it was recorded as completed`);
  const begun = world.storage.records.findLastIndex((record) => record.key === key.slice("uid/".length) && (record.type === "requested" || record.type === "started"));
  const given = world.storage.records.findLastIndex((record, index) => index < begun && record.kind === "now");
  if (given >= world.storage.durable) world.violation = new Error(`step ${key} began before a time that was given out was durable`);
  world.executed += 1;
  return Math.floor(world.random() * 1e6);
}

/** What code has seen of a step must be durable by then. */
function observe(world, process, value) {
  if (!process.alive) return;
  const { records, durable } = world.storage;
  const isSeen = (record) => record.value === value || record.error?.message === value;
  if (records.findIndex(isSeen) >= durable) world.violation = new Error(`${value} was released before it was durable`);
}

/** The tries of a step are counted from 1, over all claims of an attempt of the body. */
function checkTries({ records }) {
  let tries = new Map();
  for (const { type, key, try: number } of records) {
    if (type === "body.failed") tries = new Map();
    if (type === "requested" && number !== undefined) tries.set(key, 0);
    if (type === "started" || (type === "requested" && number !== undefined)) {
      if (number !== tries.get(key) + 1) throw new Error(`try ${number} of ${key} follows try ${tries.get(key)}`);
      tries.set(key, number);
    }
  }
}

/** Each message has one effect, and those of one name come in order within an attempt of the body and over all of them. */
function checkMessages({ records, inbox }) {
  const taken = records.filter(({ type, inbox: number }) => type === "completed" && number !== undefined).map(({ inbox: number }) => number);
  if (new Set(taken).size !== taken.length) throw new Error(`a message was delivered twice: ${taken}`);
  for (const name of SIGNALS) {
    const numbers = taken.filter((number) => inbox[number - 1].name === name);
    if (numbers.some((number, index) => index > 0 && number < numbers[index - 1])) throw new Error(`signals were delivered out of order: ${numbers}`);
    if (numbers.some((number) => inbox.slice(0, number - 1).filter((message) => message.name === name).length >= numbers.indexOf(number) + 1)) throw new Error(`a signal was left out: ${numbers}`);
  }
}

/** Let the run come to its end again from its journal, and say what was different, if anything. */
async function replay({ records, inbox, finished: before }, io) {
  const storage = new Storage();
  storage.inbox = inbox;
  storage.records = records.slice(0, records.indexOf(before));
  storage.durable = storage.records.length;
  const executed = [];
  let pending = 0;
  const workflow = interpret({ execute: (key) => executed.push(key), outside: (count) => (pending += count) });
  await withinTime(new Process(storage, workflow, { foreign: () => pending > 0, elapsed }));
  const after = storage.finished;
  // What waits for I/O beside a body that ends may come a little further each time; else nothing is new in a replay.
  const again = io ? executed.filter((key) => records.some((record) => record.type === "completed" && `uid/${record.key}` === key)) : executed;
  if (again.length > 0) throw new Error(`${again} ran in the final replay`);
  const same = after?.status === before.status && isDeepStrictEqual(after.output, before.output) && after.error?.message === before.error?.message;
  return same ? undefined : `the replay differs:\n${JSON.stringify(before)}\n${JSON.stringify(after ?? storage.records.at(-1))}`;
}
