// What a workflow function gets beside its input.

import { NonRetryableError } from "./errors.mjs";
import { Sleeps } from "./sleeps.mjs";
import { Steps } from "./steps.mjs";

/** Return the calls of one attempt of the body: `{step, sleep, run, NonRetryableError}`. */
export function createApi(attempt, order, { stepDefaults, folder }) {
  const steps = new Steps(attempt, order.uid, stepDefaults);
  const sleeps = new Sleeps(attempt);
  return {
    step: (name, fn, options) => attempt.call(steps, name, fn, options),
    sleep: (name, duration) => attempt.call(sleeps, name, duration),
    run: describeRun(order, folder),
    NonRetryableError,
  };
}

function describeRun({ run, uid, incarnation, revision, version }, folder) {
  return Object.freeze({
    id: run,
    uid,
    incarnation,
    revision,
    version,
    get folder() {
      return folder();
    },
  });
}
