// The journal of one run, as its only writer holds it.

import fs from "node:fs";
import os from "node:os";

import { now, stamp, syncing } from "./clock.mjs";
import { History } from "./history.mjs";
import { decodeLines, encodeLine } from "./lines.mjs";

const { closeSync, fdatasync, fdatasyncSync, fstatSync, ftruncateSync, openSync, readFileSync, readSync, writeSync } = fs;
const { O_APPEND, O_RDWR } = fs.constants;
const { byteLength } = Buffer;
const { stringify } = JSON;
const PROTOCOL = 1;
const BOOT_ID = "/proc/sys/kernel/random/boot_id";
const NO_SPACE = new Set(["ENOSPC", "EDQUOT"]);
const { EDQUOT } = os.constants.errno;

/** An order cannot be taken: what is said is for the worker's log. */
export class WithdrawnError extends Error {}

/** The journal of one run. */
export class Journal {
  /** Bytes that this claim has written, and how many of them a sync has covered. */
  size = 0;
  synced = 0;
  /** Set when the file system has no space left: nothing is written any more. */
  full = false;
  #path;
  #fd = -1;
  #claim = 0;
  #seq = 0;
  #before = 0;
  #onFull;
  #onBroken;
  #flight = null;
  #next = null;

  /** `onFull()` is called when there is no space, `onBroken(error)` when the storage failed; the latter does not return. */
  constructor(path, { onFull, onBroken }) {
    this.#path = path;
    this.#onFull = onFull;
    this.#onBroken = onBroken;
  }

  /**
   * Take the run as claim `number` and return its history; `before` is how the claim before ended where its journal could not say it.
   * Throws WithdrawnError if it is not ours to take.
   */
  take(number, worker, before) {
    const bytes = readFileSync(this.#path);
    const { history, end } = fold(bytes);
    if (history.order === null) throw new WithdrawnError("it was never created");
    if (history.order.protocol > PROTOCOL) throw new WithdrawnError(`its journal has protocol ${history.order.protocol}, this worker knows ${PROTOCOL}`);
    if (history.finished !== null) throw new WithdrawnError("it has ended");
    if (number <= history.claim) throw new WithdrawnError(`claim ${number} is not after claim ${history.claim}`);
    if (end < bytes.length) throw new WithdrawnError("its journal has a torn tail");
    this.#fd = openSync(this.#path, O_RDWR | O_APPEND);
    this.#claim = number;
    this.append("claim", { worker, after: history.accepted, boot: bootOf(), before });
    if (this.full) throw new WithdrawnError("no space is left");
    for (const record of decodeLines(this.#after(end)).records) history.accept(record);
    if (history.claim !== number || history.worker !== worker) throw new WithdrawnError(`claim ${number} belongs to ${history.worker}`);
    this.#before = end;
    return history;
  }

  #after(offset) {
    const bytes = Buffer.alloc(fstatSync(this.#fd).size - offset);
    return bytes.subarray(0, readSync(this.#fd, bytes, 0, bytes.length, offset));
  }

  /** Read the whole journal. */
  read() {
    return fold(readFileSync(this.#path)).history;
  }

  /** Return the size of the whole journal. */
  get length() {
    return this.#before + this.size;
  }

  /** Append a record and return the position to sync to: Infinity if it could not be written. `raw` is more members, as text. */
  append(type, fields, raw = "") {
    if (this.full) return Infinity;
    const members = fields === undefined ? "" : `,${stringify(fields).slice(1, -1)}`;
    const json = `{"type":"${type}","claim":${this.#claim},"seq":${this.#seq + 1},"at":"${stamp(now())}"${members}${raw}}`;
    if (!this.#write(encodeLine(json))) {
      this.full = true;
      this.#onFull();
      return Infinity;
    }
    this.#seq += 1;
    return this.size;
  }

  /** Write the record that ends the claim for want of space; false if there is not that much left. */
  releaseFull(inbox) {
    const json = `{"type":"released","claim":${this.#claim},"seq":${this.#seq + 1},"at":"${stamp(now())}","reason":"no-space","inbox":${inbox}}`;
    return this.#write(encodeLine(json));
  }

  #write(line) {
    const length = byteLength(line);
    let written = 0;
    try {
      written = writeSync(this.#fd, line);
    } catch (error) {
      if (!saysNoSpace(error)) this.#onBroken(error);
    }
    if (written === length) {
      this.size += length;
      return true;
    }
    if (written > 0) this.#cut(written);
    return false;
  }

  #cut(written) {
    try {
      ftruncateSync(this.#fd, fstatSync(this.#fd).size - written);
    } catch (error) {
      this.#onBroken(error);
    }
  }

  /** Make everything durable that was written so far, and wait for it. */
  syncNow() {
    try {
      fdatasyncSync(this.#fd);
    } catch (error) {
      this.#onBroken(error);
    }
    this.synced = this.size;
  }

  /** Make everything durable that was written so far, without blocking others; syncs asked for meanwhile are one. */
  sync() {
    if (this.#flight === null) return (this.#flight = this.#fly());
    this.#next ??= this.#flight.then(() => {
      this.#next = null;
      return this.sync();
    });
    return this.#next;
  }

  #fly() {
    const size = this.size;
    const done = syncing();
    return new Promise((resolve) => {
      fdatasync(this.#fd, (error) => {
        done();
        if (error) this.#onBroken(error);
        this.synced = Math.max(this.synced, size);
        this.#flight = null;
        resolve();
      });
    });
  }

  /** Let the file go, once no sync is under way. */
  async close() {
    while (this.#flight !== null) await this.#flight;
    if (this.#fd !== -1) closeSync(this.#fd);
    this.#fd = -1;
  }
}

let boot;

/** Return what tells this boot of the machine from others; undefined where there is no such thing. */
function bootOf() {
  try {
    boot ??= readFileSync(BOOT_ID, "utf8").trim();
  } catch {
    // Elsewhere than on Linux.
  }
  return boot;
}

function saysNoSpace({ code, errno }) {
  return NO_SPACE.has(code) || errno === -EDQUOT; // for which this Node may have no name
}

function fold(bytes) {
  const { records, end } = decodeLines(bytes);
  const history = new History();
  for (const record of records) history.accept(record);
  return { history, end };
}
