// Journals in memory, and a process that can be killed between any two of its appends.

import * as clock from "../../../runtimes/javascript/clock.mjs";
import { History } from "../../../runtimes/javascript/history.mjs";
import { Run } from "../../../runtimes/javascript/run.mjs";

/** What survives: the records of a run, and how many of them a power cut cannot take. */
export class Storage {
  constructor(order = {}) {
    this.records = [{ type: "order", claim: 0, seq: 1, at: clock.stamp(clock.now()), uid: "uid", run: "run", input: null, ...order }];
    this.durable = 1;
    /** Messages to the run: number n is at n - 1. */
    this.inbox = [];
  }

  /** Lose all records from `count` on. */
  cut(count) {
    this.records.length = Math.max(count, this.durable);
  }

  /** Return the records of a type. */
  of(type) {
    return this.records.filter((record) => record.type === type);
  }

  /** Return the terminal record, if there is one. */
  get finished() {
    return this.of("finished")[0];
  }
}

/** A journal with the interface of the one in journal.mjs. */
export class MemoryJournal {
  size = 0;
  synced = 0;
  full = false;
  length = 0;
  dead = false;
  syncs = 0;
  #seq = 0;

  constructor(storage, { onAppend = () => undefined, syncMs = () => 0, before } = {}) {
    this.storage = storage;
    this.before = before;
    this.onAppend = onAppend;
    this.syncMs = syncMs;
  }

  take(claim) {
    this.claim = claim;
    this.append("claim", { worker: "w", after: this.read().accepted, boot: this.storage.boot, before: this.before });
    return this.read();
  }

  read() {
    const history = new History();
    for (const record of this.storage.records) history.accept(structuredClone(record));
    return history;
  }

  append(type, fields, raw = "") {
    if (this.dead || this.onAppend(type, fields) === "lost") return Infinity;
    this.#seq += 1;
    const text = `{${JSON.stringify({ type, claim: this.claim, seq: this.#seq, at: clock.stamp(clock.now()), ...fields }).slice(1, -1)}${raw}}`;
    this.storage.records.push(JSON.parse(text));
    this.size = this.storage.records.length;
    return this.size;
  }

  syncNow() {
    this.syncs += 1;
    this.#synced(this.size);
  }

  async sync() {
    const { size } = this;
    this.syncs += 1;
    await new Promise((resolve) => setTimeout(resolve, this.syncMs()));
    this.#synced(size);
  }

  #synced(size) {
    if (this.dead) return;
    this.synced = Math.max(this.synced, size);
    this.storage.durable = Math.max(this.storage.durable, size);
  }

  releaseFull() {
    return true;
  }
}

/** One claim of the run in `storage`, as one process carries it out. */
export class Process {
  alive = true;
  /** How many messages were read. */
  read = 0;
  /** How often the reconciler was told that something has changed. */
  told = 0;

  constructor(storage, workflow, { claim, parkAfter = 1e9, linger = 5, alone = () => true, foreign = () => false, elapsed = clock.elapsed, ...journal } = {}) {
    this.storage = storage;
    this.journal = new MemoryJournal(storage, journal);
    const history = this.journal.take(claim ?? storage.of("claim").length + 1);
    this.run = new Run(this.#port({ alone, foreign, elapsed }), {
      history,
      parkAfter,
      linger,
      load: async () => workflow,
      folder: () => "",
    });
    // As the wake pipe of a worker does: the timers of the engine do not keep a process.
    this.keeper = setInterval(() => undefined, 1e6);
    this.readInbox();
    this.ended = this.run.carryOut(history).finally(() => clearInterval(this.keeper));
  }

  #port(given) {
    const guard = (action) => () => this.alive && action();
    let step;
    return {
      ...clock,
      ...given,
      journal: this.journal,
      later: (action) => clock.later(guard(action)),
      at: (instant, action) => clock.at(instant, guard(action)),
      after: (ms, action) => clock.after(ms, guard(action)),
      scope: {
        enter: (key, action) => {
          step = key;
          try {
            return action();
          } finally {
            step = undefined;
          }
        },
        step: () => step,
      },
      changed: () => (this.told += 1),
      readInbox: () => this.readInbox(),
      noSpace: () => undefined,
    };
  }

  /** Read the messages that have come since the last look, as a worker does when it is woken. */
  readInbox() {
    const { inbox } = this.storage;
    while (this.alive && this.read < inbox.length) this.run.receive(this.read + 1, inbox[this.read++]);
  }

  /** Send a message, and wake the process. */
  send(message) {
    this.storage.inbox.push(message);
    this.readInbox();
  }

  /** End the process where it stands: nothing of it is written any more, and nothing of it runs. */
  kill() {
    this.alive = false;
    clearInterval(this.keeper);
    this.journal.dead = true;
    this.run.full();
  }
}

/** Wait until `check()` is true. */
export async function until(check) {
  for (const end = Date.now() + 10_000; !check(); ) {
    if (Date.now() > end) throw new Error(`it did not come true: ${check}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/** Carry `workflow` out in one process after the other until the run has ended; returns the storage. */
export async function carryOut(workflow, { order, storage = new Storage(order), ...options } = {}) {
  await new Process(storage, workflow, options).ended;
  return storage;
}

/** Return a storage that a process killed after `count` records would have left. */
export function cutAfter(storage, count) {
  const left = new Storage();
  left.records = structuredClone(storage.records.slice(0, count));
  left.durable = count;
  left.inbox = storage.inbox.slice();
  return left;
}

/** Return a storage as if the process had been killed just before the terminal record. */
export function beforeEnd(storage) {
  return cutAfter(storage, storage.records.length - 1);
}
