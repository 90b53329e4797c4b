// Carries random programs out under random kills, and checks what the journal promises.

import { isDeepStrictEqual } from "node:util";

import { Process, Storage } from "./memory.mjs";
import { interpret, randomFrom } from "./random_programs.mjs";

const MOST_CLAIMS = 400;
const SLOWEST_MS = 30_000;

/** Carry out the program of `seed` under kills, replay it, and return what happened; throws what was violated. */
export async function carryOutUnderKills(seed) {
  const random = randomFrom(seed ^ 0x5eed);
  const world = { random, storage: new Storage(orderOf(seed, random)), executed: 0, kills: 0, claims: 0 };
  while (world.storage.finished === undefined) {
    if (++world.claims > MOST_CLAIMS) throw new Error(`seed ${seed}: no end after ${MOST_CLAIMS} claims`);
    await claimOnce(world);
  }
  if (world.violation) throw world.violation;
  checkTries(world.storage);
  await replay(seed, world.storage);
  return { kills: world.kills, claims: world.claims, steps: world.executed, records: world.storage.records.length };
}

function orderOf(seed, random) {
  const retry = { max_attempts: random() < 0.3 ? 2 : 1, initial_interval_ms: 1, jitter: false };
  return { input: { seed }, settings: { retry, cancel: { grace_ms: 3 } } };
}

async function claimOnce(world) {
  const { random, storage } = world;
  const killAt = random() < 0.85 ? Math.floor(random() * 30) : Infinity;
  const blocking = random() < 0.5;
  let appends = 0;
  let process = null;
  const onAppend = () => {
    if (process === null || appends++ < killAt) return undefined;
    kill(world, process);
    return "lost";
  };
  const settings = { onAppend, parkAfter: random() < 0.3 ? 2 : 1e9, alone: () => blocking, syncMs: () => random() * 3 };
  const completed = new Set(storage.of("completed").filter((record) => record.try).map(({ key }) => key));
  const workflow = interpret((key) => execute(world, process, completed, key), (value) => observe(world, process, value));
  process = new Process(storage, workflow, settings);
  await withinTime(process);
  process.alive = false;
  const last = storage.records.at(-1);
  if (last.reason === "grace") throw new Error(`a pure program did not repeat itself: ${JSON.stringify(storage.of("warning").at(-1))}`);
  if (last.type === "parked") await new Promise((resolve) => setTimeout(resolve, Date.parse(last.until) - Date.now()));
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

async function replay(seed, { records, finished: before }) {
  const storage = new Storage();
  storage.records = records.slice(0, records.indexOf(before));
  storage.durable = storage.records.length;
  const executed = [];
  await withinTime(new Process(storage, interpret((key) => executed.push(key))));
  if (executed.length > 0) throw new Error(`seed ${seed}: ${executed} ran in the final replay`);
  const after = storage.finished;
  const same = after?.status === before.status && isDeepStrictEqual(after.output, before.output) && after.error?.message === before.error?.message;
  if (!same) throw new Error(`seed ${seed}: the replay differs:\n${JSON.stringify(before)}\n${JSON.stringify(after)}`);
}
