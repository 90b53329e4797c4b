// What a run does when nothing can be released to its code: keep its process, park, or give up.

import { shown } from "./durations.mjs";
import { NonDeterminismError } from "./errors.mjs";

const SETTLED_MS = 10;
const GRACE_MS = 2000;
const SHORTEST_LOOK_MS = 10;
const LONGEST_LOOK_MS = 250;
// Shorter waits are over before anybody could have looked.
const WORTH_TELLING_MS = 100;

/** Watches an attempt of the body that has nothing to do. */
export class Quiet {
  #attempt;
  #port;
  #parkAfter;
  #patience;
  #told = false;
  #cancel = () => undefined;

  /** A run parks for more than `parkAfter` ms; what is pending outside of it is waited for during `patience` ms. */
  constructor(attempt, { parkAfter, patience }) {
    this.#attempt = attempt;
    this.#port = attempt.port;
    this.#parkAfter = parkAfter;
    this.#patience = patience;
  }

  /** Decide what the run does now that its code is quiet. */
  look() {
    const attempt = this.#attempt;
    this.#cancel();
    if (attempt.ending !== null) this.#watch(0, GRACE_MS, () => attempt.end({ kind: "refused", error: difference(attempt) }));
    else if (attempt.blocked) this.#watch(GRACE_MS, this.#patience, () => attempt.end({ kind: "stuck", error: difference(attempt) }));
    else if (attempt.open.size > 0) this.#rest(earliest(attempt.open));
  }

  #rest(due) {
    const attempt = this.#attempt;
    if (due === undefined) return;
    const left = due - this.#port.now();
    if (left > WORTH_TELLING_MS && !this.#told) {
      this.#told = true;
      this.#port.changed();
    }
    if (left <= this.#parkAfter) return;
    const waits = () => Array.from(attempt.open, (call) => call.kind.wait(call));
    this.#watch(SETTLED_MS, this.#patience, () => attempt.end({ kind: "parked", until: due, waits: waits() }));
  }

  /** Take note that a wait is over. */
  over() {
    if (!this.#told) return;
    this.#told = false;
    this.#port.changed();
  }

  /** Do `act` when nothing has happened and nothing foreign was pending for `ms`; after `patience` ms do it nevertheless. */
  #watch(ms, patience, act) {
    const { activity } = this.#attempt;
    const { elapsed, foreign } = this.#port;
    const began = elapsed();
    let since = began;
    let pause = Math.max(ms / 20, SHORTEST_LOOK_MS);
    const look = () => {
      if (this.#attempt.stopped || this.#attempt.activity !== activity) return;
      const now = elapsed();
      if (now - began < patience && (this.#attempt.bodies > 0 || foreign())) {
        since = now;
        pause = Math.min(pause * 1.5, LONGEST_LOOK_MS);
      } else if (now - since >= ms) {
        act();
        return;
      }
      this.#cancel = this.#port.after(pause, look);
    };
    look();
  }
}

/** Return the earliest instant at which one of the calls goes on; undefined if one is running. */
function earliest(calls) {
  let due = Infinity;
  for (const call of calls) {
    if (call.due === undefined) return undefined;
    due = Math.min(due, call.due);
  }
  return due;
}

/** Return the error of code that does not ask for what is recorded: it names the first difference. */
function difference({ unasked: { kind, key }, held, ending }) {
  const asked = held.length > 0 ? `asked for ${held[0].kind.name} ${shown(held[0].key)}` : "did not ask for it";
  const cause = ending?.kind === "threw" ? ending.error : undefined;
  return new NonDeterminismError(`the journal holds ${kind} ${shown(key)} here, the code ${asked}: the code has changed since, or depends on more than its calls`, { cause });
}
