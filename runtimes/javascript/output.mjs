// Where user code prints to: the output.log of its run, and how that file is kept from growing for ever.

import { AsyncLocalStorage } from "node:async_hooks";
import fs from "node:fs";

const { closeSync, fstatSync, ftruncateSync, openSync, readSync, writeSync } = fs;
const MOST = 64 << 20;
const KEPT = 48 << 20;
const NEWLINE = 10;

const scopes = new AsyncLocalStorage();

/** Return the scope of a run: what runs inside prints to `output`, and a call can tell whether it is made inside of a step. */
export function createScope(output) {
  const outside = { output, step: undefined };
  return {
    enter: (step, action) => scopes.run(step === undefined ? outside : { output, step }, action),
    step: () => scopes.getStore()?.step,
  };
}

/** The output.log of a run. */
export class Output {
  #path;
  #fd;

  /** With `fd` the file is open already, else it is opened when something is printed. */
  constructor(path, fd = -1) {
    this.#path = path;
    this.#fd = fd;
  }

  /** Append what was printed. What finds no room is lost. */
  write(chunk) {
    try {
      if (this.#fd === -1) this.#fd = openSync(this.#path, "a", 0o600);
      writeSync(this.#fd, chunk);
    } catch {
      // Output is no reason for a run to fail.
    }
  }

  /** Drop the oldest part of a file that has become too large. */
  trim() {
    try {
      if (this.#fd !== -1) this.#keepNewest(fstatSync(this.#fd));
    } catch {
      // As above.
    }
  }

  #keepNewest(stat) {
    if (!stat.isFile() || stat.size <= MOST) return;
    const reader = openSync(this.#path, "r");
    const bytes = Buffer.allocUnsafe(KEPT);
    const count = readSync(reader, bytes, 0, KEPT, stat.size - KEPT);
    closeSync(reader);
    ftruncateSync(this.#fd, 0);
    writeSync(this.#fd, bytes.subarray(bytes.indexOf(NEWLINE) + 1, count));
  }

  /** Let the file go. */
  close() {
    if (this.#fd > 2) closeSync(this.#fd);
    this.#fd = -1;
  }
}

/** From here on, let what is printed through `process.stdout` and `process.stderr` go to the run that prints it. */
export function attributeOutput() {
  for (const stream of [process.stdout, process.stderr]) {
    const write = stream.write.bind(stream);
    stream.write = (chunk, encoding, done) => {
      const output = scopes.getStore()?.output;
      if (output === undefined) return write(chunk, encoding, done);
      output.write(typeof chunk === "string" ? Buffer.from(chunk, typeof encoding === "string" ? encoding : "utf8") : chunk);
      const callback = typeof encoding === "function" ? encoding : done;
      if (typeof callback === "function") process.nextTick(callback);
      return true;
    };
  }
}

/** Print a line of our own to the run at hand, else to the worker's log. */
export function report(text) {
  const output = scopes.getStore()?.output ?? new Output("", 2);
  output.write(`${text}\n`);
}
