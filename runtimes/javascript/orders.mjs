// What a reconciler sends to a worker and to a run: lines of orders, and numbered files of an inbox.

import fs from "node:fs";

import { decodeLines } from "./lines.mjs";

const { closeSync, fstatSync, openSync, readFileSync, readSync } = fs;

/** The orders of a worker. */
export class Orders {
  #path;
  #offset = 0;
  #waiting = [];

  constructor(path) {
    this.#path = path;
  }

  /** Return the first order, once, as soon as it is there. */
  first() {
    const [first, ...others] = this.read();
    this.#waiting = others;
    return first;
  }

  /** Return the orders that have come since the last look. */
  read() {
    const { records, end } = decodeLines(this.#fresh());
    this.#offset += end;
    return this.#waiting.splice(0).concat(records);
  }

  #fresh() {
    let fd;
    try {
      fd = openSync(this.#path, "r");
    } catch (error) {
      if (error.code === "ENOENT") return Buffer.alloc(0);
      throw error;
    }
    const bytes = Buffer.alloc(Math.max(0, fstatSync(fd).size - this.#offset));
    const count = bytes.length === 0 ? 0 : readSync(fd, bytes, 0, bytes.length, this.#offset);
    closeSync(fd);
    return bytes.subarray(0, count);
  }
}

/** The inbox of a run. */
export class Inbox {
  #folder;
  #number = 1;

  constructor(folder) {
    this.#folder = folder;
  }

  /** Return the records that have come since the last look, with their numbers; what is missing or unreadable means nothing yet. */
  read() {
    const fresh = [];
    for (let record = this.#next(); record !== undefined; record = this.#next()) {
      fresh.push({ number: this.#number, record });
      this.#number += 1;
    }
    return fresh;
  }

  #next() {
    try {
      return decodeLines(readFileSync(`${this.#folder}/${String(this.#number).padStart(6, "0")}.json`)).records[0];
    } catch {
      return undefined;
    }
  }
}

/** The messages of one run in the hands of one claim. */
export class Mailbox {
  /** The number of the last message that was read. */
  read = 0;
  #spent;
  #kept = new Map();

  /** `spent` holds the numbers of messages that the journal tells of already. */
  constructor(spent) {
    this.#spent = spent;
  }

  /** Keep message `number`. */
  put(number, message) {
    this.read = number;
    if (this.#spent.has(number)) return;
    const address = addressOf(message);
    if (!this.#kept.has(address)) this.#kept.set(address, []);
    this.#kept.get(address).push({ number, message });
  }

  /** Take the first message for an address, or for that call alone: `{number, message}`, or undefined. */
  take(address, own) {
    const [shared, alone] = [this.#kept.get(address), this.#kept.get(own)];
    return (isEarlier(alone?.[0], shared?.[0]) ? alone : shared)?.shift();
  }

  /** Return those of `calls` for which there is a message, in the order of the messages. */
  inOrder(calls) {
    const found = [];
    const counts = new Map();
    for (const call of calls) {
      const count = counts.get(call.address) ?? 0;
      const [shared, alone] = [this.#kept.get(call.address)?.[count], this.#kept.get(call.own)?.[0]];
      if (isEarlier(alone, shared)) found.push({ call, number: alone.number });
      else if (shared !== undefined) {
        counts.set(call.address, count + 1);
        found.push({ call, number: shared.number });
      }
    }
    return found.sort((one, other) => one.number - other.number).map(({ call }) => call);
  }
}

function isEarlier(alone, shared) {
  return alone !== undefined && (shared === undefined || alone.number < shared.number);
}

function addressOf({ type, name, key, attempt }) {
  if (type !== "signal") return `${type} ${key}`;
  return key === undefined ? `signal ${name}` : addressOfWait(attempt, key);
}

/** Return the address of the one wait for a signal that has this key in that attempt of the body. */
export function addressOfWait(attempt, key) {
  return `wait ${attempt} ${key}`;
}
