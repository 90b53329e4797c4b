// Calls that the code makes, their names and their keys.

import { shown } from "./durations.mjs";
import { exceeds } from "./values.mjs";

const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;
const OCCURRENCE = /#\d+$/;
const LONGEST = 200;

/** One call that the code made. */
export class Call {
  /** The instant at which it goes on by itself; undefined while something runs. */
  due = undefined;
  /** Whether it waits for a message. */
  listening = false;
  closed = false;

  constructor(kind, key, details) {
    this.kind = kind;
    this.key = key;
    this.details = details;
    this.promise = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
  }
}

/** Throw a TypeError that begins with `what` if `name` is no name. */
export function checkName(name, what) {
  const problem = nameProblem(name);
  if (problem !== undefined) throw new TypeError(`${what} ${problem}`);
}

/** Return the key of the `count`th call with that name. */
export function keyOf(name, count) {
  return count === 1 ? name : `${name}#${count}`;
}

function nameProblem(name) {
  if (typeof name !== "string") return `must be text, got ${shown(name)}`;
  if (name === "" || exceeds(name, LONGEST)) return `must have 1 to ${LONGEST} bytes, got ${shown(name)}`;
  if (CONTROL.test(name) || !name.isWellFormed()) return `must be text without control characters, got ${shown(name)}`;
  if (name.includes("~")) return `must not contain "~", got ${shown(name)}`;
  if (OCCURRENCE.test(name)) return `must not end in "#" and digits, got ${shown(name)}`;
  if (name.startsWith("ty/")) return `must not begin with "ty/", got ${shown(name)}`;
  return undefined;
}
