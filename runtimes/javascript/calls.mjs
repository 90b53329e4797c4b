// Calls that the code makes, their names and their keys.

import { shown } from "./durations.mjs";
import { CallError } from "./errors.mjs";
import { exceeds } from "./values.mjs";

const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;
const OCCURRENCE = /#\d+$/;
const LONGEST = 200;

/** One call that the code made. */
class Call {
  /** The instant at which it goes on by itself; undefined while something runs. */
  due = undefined;
  /** Where messages for it come in; empty while it waits for none. */
  address = "";
  /** Where messages come in that are for it alone. */
  own = "";
  closed = false;

  constructor(kind, key, { details, count }) {
    this.kind = kind;
    this.key = key;
    this.details = details;
    /** How many calls with its name there were, with this one. */
    this.count = count;
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

/** The calls of one attempt of the body, by key. */
export class Calls {
  #scope;
  #limits;
  #names = new Map();
  #byKey = new Map();

  constructor(scope, limits) {
    this.#scope = scope;
    this.#limits = limits;
  }

  /** Return a new call of `kind` with the arguments `options`. Throws what is wrong with it. */
  accept(kind, given, options) {
    const name = given ?? kind.unnamed;
    const known = this.#names.get(name);
    if (known === undefined && name !== kind.unnamed) checkName(name, `${kind.signature}: ${naming(kind, options)}`);
    const details = kind.details(name, ...options);
    this.refuseInStep(kind.name, name);
    this.#limits.checkCalls(this.#byKey.size);
    const count = (known ?? 0) + 1;
    this.#names.set(name, count);
    const call = new Call(kind, keyOf(name, count), { details, count });
    this.#byKey.set(call.key, call);
    return call;
  }

  /** Throw a CallError if a call is made inside the body of a step. */
  refuseInStep(kind, name) {
    const step = this.#scope.step();
    if (step !== undefined) throw new CallError(`${kind} ${shown(name)} was called inside the body of step ${shown(step)}: call it from the workflow`);
  }

  has(key) {
    return this.#byKey.has(key);
  }

  get(key) {
    return this.#byKey.get(key);
  }

  /** Keep no more than the key. */
  forget(key) {
    this.#byKey.set(key, null);
  }

  get size() {
    return this.#byKey.size;
  }
}

/** Say which argument the name of a call is. */
function naming({ named }, options) {
  if (named === undefined) return "name";
  return options.at(-1)?.name === undefined ? named : "options.name";
}

/** Return the key of the `count`th call with that name. */
function keyOf(name, count) {
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
