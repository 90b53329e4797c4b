// The runs that one worker process holds side by side.

import fs from "node:fs";

import { after, at, elapsed, foreign, later, now, stamp } from "./clock.mjs";
import { Journal } from "./journal.mjs";
import { loadWorkflow } from "./load.mjs";
import { Inbox } from "./orders.mjs";
import { Output, createScope, report } from "./output.mjs";
import { Run } from "./run.mjs";

const { chmodSync, closeSync, mkdirSync, openSync, statSync } = fs;
const STICKY = 0o1000;
const MOST_LEFTOVERS = 32;
const TRIM_EVERY_MS = 1000;

/** Takes orders and carries their runs out. */
export class Host {
  #folder;
  #hello;
  #orders;
  #exits;
  #live = new Map();
  #waiting = [];
  #taking = true;
  #served = false;
  #rehearsing = false;
  #leftovers = 0;
  #workflow = null;
  #cancelLinger = () => undefined;

  /** `folder` is the worker's own. `exits.done()` ends the process as decided, `exits.storage(error)` and `exits.bug(error)` as crashes. */
  constructor(folder, hello, orders, exits) {
    this.#folder = folder;
    this.#hello = hello;
    this.#orders = orders;
    this.#exits = exits;
    after(TRIM_EVERY_MS, this.#trim);
  }

  /** Read orders and inboxes again. */
  wake() {
    this.#readOrders();
    for (const run of this.#live.values()) this.#readInbox(run);
    this.#fill();
  }

  /** Take no more orders, and let the runs at hand go on elsewhere, but for the one with the uid `keep`. */
  suspend(reason = "suspended", keep = undefined) {
    this.#taking = false;
    for (const [uid, { run }] of this.#live) if (uid !== keep) run.suspend(reason);
    this.#fill();
  }

  #readOrders() {
    for (const order of this.#orders.read()) {
      if (order.type === "drain") this.#taking = false;
      else if (order.type === "hand-over") this.suspend("handed-over", order.keep);
      else if (order.type === "order" && this.#taking) this.#waiting.push(order);
      else if (order.type === "replay" && this.#taking) this.#replay(order);
    }
  }

  #fill() {
    for (let order = this.#next(); order !== undefined; order = this.#next()) this.#take(order);
    if (this.#live.size === 0 && !this.#rehearsing) this.#rest();
  }

  /** Return the first order that there is room for; one for a run that is at hand waits for its end. */
  #next() {
    if (!this.#taking || this.#live.size >= this.#hello.capacity) return undefined;
    const index = this.#waiting.findIndex(({ uid }) => !this.#live.has(uid));
    return index === -1 ? undefined : this.#waiting.splice(index, 1)[0];
  }

  /** Nothing is at hand: end, at once or after a while, unless there are orders by then. */
  #rest() {
    const { capacity, linger_ms: linger } = this.#hello;
    this.#cancelLinger();
    if (!this.#taking) this.#exits.done();
    else if (capacity > 1) this.#cancelLinger = after(linger, () => this.#end());
    else if (this.#served) this.#end();
  }

  #end() {
    this.#readOrders();
    if (this.#taking && this.#waiting.length > 0) this.#fill();
    else this.#exits.done();
  }

  /** Look whether the code fits a journal, and end with that. */
  #replay({ prefix }) {
    this.#taking = false;
    this.#rehearsing = true;
    import("./verdict.mjs")
      .then(({ writeVerdict }) => writeVerdict({ prefix, folder: this.#folder, load: () => this.#load() }))
      .then(() => this.#exits.done(), this.#exits.bug);
  }

  #take({ uid, claim, prefix, before }) {
    this.#cancelLinger();
    this.#served = true;
    let run;
    const journal = new Journal(`${prefix}journal.jsonl`, { onFull: () => run?.full(), onBroken: this.#exits.storage });
    let history;
    try {
      history = journal.take(claim, this.#hello.worker, before);
    } catch (error) {
      journal.close();
      return report(`order for run ${uid}, claim ${claim}: not taken: ${error.message}`);
    }
    const output = new Output(`${prefix}output.log`, this.#hello.capacity === 1 ? 1 : -1);
    const inbox = new Inbox(`${prefix}inbox`);
    const held = { journal, output, inbox };
    run = this.#createRun(journal, history, { prefix, output, readInbox: () => this.#readInbox(held) });
    held.run = run;
    this.#live.set(uid, held);
    this.#readInbox(held);
    run.carryOut(history).then(() => this.#release(uid, held), this.#exits.bug);
  }

  #createRun(journal, history, { prefix, output, readInbox }) {
    const port = {
      journal, readInbox, now, stamp, at, after, later, elapsed, foreign,
      scope: createScope(output),
      alone: () => this.#live.size === 1,
      changed: () => this.#touch(history.order.uid),
      noSpace: () => chmodSync(`${this.#folder}/lock`, statSync(`${this.#folder}/lock`).mode | STICKY),
    };
    const folder = () => {
      mkdirSync(`${prefix}files`, { recursive: true, mode: 0o700 });
      return `${prefix}files`;
    };
    const { park_after_ms: parkAfter, linger_ms: linger } = this.#hello;
    return new Run(port, { history, folder, parkAfter, linger, load: () => this.#load() });
  }

  /** Return the workflow function; all runs of this worker share the loaded module. */
  #load() {
    this.#workflow ??= loadWorkflow(this.#hello.code, this.#hello.entry);
    return this.#workflow;
  }

  #readInbox({ run, inbox }) {
    for (const { number, record } of inbox.read()) run.receive(number, record);
  }

  #touch(uid) {
    try {
      closeSync(openSync(`${this.#hello.changed}/${uid}`, "a", 0o600));
    } catch {
      // Only a hint: the journal tells the same.
    }
  }

  #release(uid, { run, journal, output }) {
    this.#live.delete(uid);
    output.close();
    journal.close();
    if (run.leftover) this.#leftovers += 1;
    if (this.#leftovers > MOST_LEFTOVERS) this.#taking = false;
    this.#fill();
  }

  #trim = () => {
    for (const { output } of this.#live.values()) output.trim();
    after(TRIM_EVERY_MS, this.#trim);
  };
}
