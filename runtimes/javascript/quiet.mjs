// What a run does when nothing can be released to its code: keep its process, park, or give up.

import { shown } from "./durations.mjs";
import { NonDeterminismError } from "./errors.mjs";

/** How long code has to be quiet before that counts: not all that is foreign shows. */
export const SETTLED_MS = 10;
/** How long code may take to ask for what is recorded, once nothing is pending. */
export const GRACE_MS = 2000;
const SHORTEST_LOOK_MS = 10;
const LONGEST_LOOK_MS = 250;
// Shorter waits are over before anybody could have looked.
const WORTH_TELLING_MS = 100;

/** Watches an attempt of the body that has nothing to do. */
export class Quiet {
  #attempt;
  #port;
  #parkAfter;
  #linger;
  #patience;
  #deadline;
  #told = false;
  #cancel = () => undefined;

  /**
   * A run parks for more than `parkAfter` ms, and while it waits for a message not before `linger` ms; what is pending outside of it is
   * waited for during `patience` ms. The run's timeout ends at `deadline`.
   */
  constructor(attempt, { parkAfter, linger, patience, deadline }) {
    this.#attempt = attempt;
    this.#port = attempt.port;
    this.#parkAfter = parkAfter;
    this.#linger = linger;
    this.#patience = patience;
    this.#deadline = deadline;
  }

  /** Decide what the run does now that its code is quiet. */
  look() {
    const attempt = this.#attempt;
    this.#cancel();
    if (attempt.ending !== null) this.#watch(0, GRACE_MS, () => attempt.end({ kind: "refused", error: difference(attempt) }));
    else if (attempt.blocked) this.#watch(GRACE_MS, this.#patience, () => attempt.end({ kind: "stuck", error: difference(attempt) }));
    else if (attempt.open.size > 0) this.#rest(earliest(attempt.open, this.#deadline));
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
    const listening = Array.from(attempt.open).some((call) => call.address !== "");
    const waits = () => Array.from(attempt.open, (call) => call.kind.wait(call));
    this.#watch(listening ? Math.max(this.#linger, SETTLED_MS) : SETTLED_MS, this.#patience, () => attempt.end({ kind: "parked", until: due, waits: waits() }));
  }

  /** Take note that a wait is over. */
  over() {
    if (!this.#told) return;
    this.#told = false;
    this.#port.changed();
  }

  #watch(ms, patience, act) {
    this.#cancel = whenQuiet(this.#attempt, ms, patience, act);
  }
}

/**
 * Do `act` when nothing has happened to an attempt and nothing foreign was pending for `ms`; after `patience` ms do it nevertheless.
 * Returns what cancels it.
 */
export function whenQuiet(attempt, ms, patience, act) {
  const { activity, port } = attempt;
  const { elapsed, foreign } = port;
  const began = elapsed();
  let since = began;
  let pause = Math.max(ms / 20, SHORTEST_LOOK_MS);
  let cancel = () => undefined;
  const look = () => {
    if (attempt.stopped || attempt.activity !== activity) return;
    const now = elapsed();
    if (now - began < patience && (attempt.bodies > 0 || foreign())) {
      since = now;
      pause = Math.min(pause * 1.5, LONGEST_LOOK_MS);
    } else if (now - since >= ms) {
      act();
      return;
    }
    cancel = port.after(pause, look);
  };
  look();
  return () => cancel();
}

/** Return the earliest instant at which one of the calls goes on, or `latest`; undefined if one is running. */
function earliest(calls, latest) {
  let due = latest;
  for (const call of calls) {
    if (call.due === undefined) return undefined;
    due = Math.min(due, call.due);
  }
  return due;
}

/** Return the error of code that does not ask for what is recorded: it names the first difference. */
export function difference({ unasked: { kind, key }, held, ending }) {
  const asked = held.length > 0 ? `asked for ${held[0].kind.name} ${shown(held[0].key)}` : "did not ask for it";
  const cause = ending?.kind === "threw" ? ending.error : undefined;
  return new NonDeterminismError(`the journal holds ${kind} ${shown(key)} here, the code ${asked}: the code has changed since, or depends on more than its calls`, { cause });
}
