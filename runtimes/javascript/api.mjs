// What a workflow function gets beside its input.

import { NonRetryableError } from "./errors.mjs";
import { Sleeps, SleepsUntil } from "./sleeps.mjs";
import { Steps } from "./steps.mjs";

const source = Function.prototype.toString;
// A function that takes nothing but these from its second parameter, as most do, which its head tells.
const PLAIN = /^(?:async\s*)?(?:function\b[^(]*)?\(\s*[\w$]+\s*,\s*\{\s*(?:(?:step|sleep|run|NonRetryableError)\s*(?:,\s*)?)*\}\s*\)/;

/** Return the kinds of calls that a workflow function may make beside steps and sleeps; undefined if there are none. They cost their loading. */
export async function kindsFor(workflow) {
  const text = source.call(workflow);
  return PLAIN.test(text) && !text.includes("arguments") ? undefined : import("./kinds.mjs");
}

/** Return the calls of one attempt of the body, and what belongs to them. */
export function createApi(attempt, order, { stepDefaults, folder, kinds }) {
  const seed = seedOf(order);
  const steps = new Steps(attempt, seed, stepDefaults);
  const sleeps = new Sleeps(attempt);
  return {
    step: (name, fn, options) => attempt.call(steps, name, fn, options),
    sleep: (name, duration) => attempt.call(sleeps, name, duration),
    run: describeRun(order, folder),
    NonRetryableError,
    ...(kinds && furtherCalls(attempt, seed, kinds)),
  };
}

function furtherCalls(attempt, seed, { Children, Nows, OnCancels, Patches, Randoms, Sends, Signals, Uuids }) {
  const [sleepsUntil, patches] = [new SleepsUntil(attempt), new Patches(attempt)];
  const [signals, sends, children] = [new Signals(attempt), new Sends(attempt), new Children(attempt)];
  const [nows, randoms, uuids, onCancels] = [new Nows(attempt), new Randoms(seed), new Uuids(seed), new OnCancels(attempt)];
  return {
    sleepUntil: (name, instant) => attempt.call(sleepsUntil, name, instant),
    waitForSignal: (signal, options) => attempt.call(signals, options?.name ?? signal, signal, options),
    sendSignal: (run, signal, data, options) => attempt.call(sends, options?.name ?? signal, run, signal, data, options),
    runWorkflow: (workflow, input, options) => attempt.call(children, options?.name ?? workflow, workflow, input, options),
    now: () => attempt.callNow(nows),
    random: (name) => attempt.callNow(randoms, name),
    uuid: (name) => attempt.callNow(uuids, name),
    patched: (id) => patches.has(id),
    onCancel: (fn) => attempt.callNow(onCancels, undefined, fn),
  };
}

/** Return what keys and chance of a run are derived from: the same in all incarnations that are one piece of work. */
export function seedOf({ seed, uid }) {
  return seed ?? uid;
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
