// The limits of a run, and the warnings that it leaves: each once.

import { LimitError } from "./errors.mjs";
import { exceeds } from "./values.mjs";

const NEAR = 0.8;

/** What a run may use. `warn(code, message, key)` leaves a warning, once for each code and key. */
export class Limits {
  constructor({ value, calls, journal }, warn) {
    this.bytes = value;
    this.calls = calls;
    this.journal = journal;
    this.warn = warn;
  }

  /** Throw a LimitError if a value is too large, whose JSON is `text`. */
  check(text, what) {
    if (exceeds(text, this.bytes)) throw new LimitError(`${what} is larger than ${this.bytes} bytes (limits.value)`);
  }

  /** Warn if a value is nearly too large. */
  tell(text, what, key) {
    if (exceeds(text, this.bytes * NEAR)) this.warn("limit", `${what} is larger than 80 % of ${this.bytes} bytes (limits.value)`, key);
  }

  /** Throw a LimitError if there are `count` calls already, and another one is too much. */
  checkCalls(count) {
    if (count >= this.calls) throw new LimitError(`more than ${this.calls} calls in one run (limits.calls)`);
  }

  /** Return the LimitError for a journal of `length` bytes, if it is too large; warn where calls or journal nearly are. */
  problem(count, length) {
    if (length > this.journal) return new LimitError(`the journal is larger than ${this.journal} bytes (limits.journal)`);
    if (count > this.calls * NEAR) this.warn("limit", `more than 80 % of ${this.calls} calls in one run are made (limits.calls)`);
    if (length > this.journal * NEAR) this.warn("limit", `the journal is larger than 80 % of ${this.journal} bytes (limits.journal)`);
    return undefined;
  }
}

/** Return the function that leaves warnings in `journal`: one with a key once in a run, others once in a claim. */
export function warner(journal, warned) {
  const given = new Set(warned);
  return (code, message, key) => {
    const mark = key === undefined ? `${code} ${message}` : `${code} ${key}`;
    if (given.has(mark)) return;
    given.add(mark);
    journal.append("warning", { code, message, key });
  };
}
