// How often, after which pause, for how long and how much: from the settings of a run, and from the options of calls.

import { milliseconds, shown } from "./durations.mjs";
import { LimitError } from "./errors.mjs";
import { exceeds } from "./values.mjs";

const { random } = Math;
const RETRY = { initial_interval_ms: 1000, factor: 2, max_interval_ms: 100_000, jitter: true };
// A value, the calls or the journal that use more than this part of their limit are worth a warning.
const NEAR = 0.8;
const OPTIONS = ["retry", "timeout", "heartbeatTimeout", "onInDoubt", "compensate"];
const [LONGEST_TITLE, LONGEST_DESCRIPTION] = [200, 4000];
const BLANK = /^\p{Zs}*$/u;
const NOT_IN_LINE = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/;
const NOT_IN_TEXT = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/;
const RETRY_OPTIONS = ["maxAttempts", "initialInterval", "factor", "maxInterval", "jitter"];

/** Return the settings of a run with nothing left out. */
export function completeSettings(settings = {}) {
  return {
    retry: { ...RETRY, max_attempts: 1, ...settings.retry },
    step: { timeout_ms: 600_000, heartbeat_ms: 0, onInDoubt: "retry", ...settings.step, retry: { ...RETRY, max_attempts: 10, ...settings.step?.retry } },
    cancel: { grace_ms: 10_000, cleanup_ms: 60_000, ...settings.cancel },
    limits: { value: 1 << 20, calls: 25_000, journal: 64 << 20, ...settings.limits },
    timeout_ms: settings.timeout_ms ?? 0,
  };
}

/** Return the pause after that many failures. */
export function pauseAfter(failures, { initial_interval_ms: initial, factor, max_interval_ms: longest, jitter }) {
  const pause = Math.min(initial * factor ** (failures - 1), longest);
  return Math.round(jitter === false ? pause : random() * pause);
}

/** Say whether another try is allowed after that many failures. */
export function allowsMore(failures, { max_attempts: most }) {
  return most === 0 || failures < most;
}

/** Return the policy of a step whose options are `options`. Throws a TypeError that begins with `what`. */
export function stepPolicy(options, defaults, what) {
  if (options === undefined) return defaults;
  const { retry, timeout, heartbeatTimeout, onInDoubt = "retry", compensate } = members(options, OPTIONS, `${what}: options`);
  oneOf(onInDoubt, ["retry", "fail", "ask"], `${what}: options.onInDoubt`);
  if (compensate !== undefined && typeof compensate !== "function") throw new TypeError(`${what}: options.compensate must be a function, got ${shown(compensate)}`);
  return {
    retry: retry === undefined ? defaults.retry : retryPolicy(members(retry, RETRY_OPTIONS, `${what}: options.retry`), defaults.retry, what),
    timeout_ms: timeout === undefined ? defaults.timeout_ms : milliseconds(timeout, `${what}: options.timeout`),
    heartbeat_ms: heartbeatTimeout === undefined ? 0 : milliseconds(heartbeatTimeout, `${what}: options.heartbeatTimeout`),
    onInDoubt,
    compensate,
  };
}

/** Return the timeout of a wait in ms; undefined if there is none. */
export function timeoutOption(timeout, what) {
  return timeout === undefined ? undefined : milliseconds(timeout, `${what}: options.timeout`);
}

/** Return what a request records of an approval; undefined if there is none. */
export function approvalOption(approval, what) {
  if (approval === undefined) return undefined;
  const at = `${what}: options.approval`;
  const { title, description } = members(approval, ["title", "description"], at);
  if (!isText(title, LONGEST_TITLE, NOT_IN_LINE) || BLANK.test(title)) throw new TypeError(`${at}.title must be one line of 1 to ${LONGEST_TITLE} characters, got ${shown(title)}`);
  if (description === undefined) return { title };
  if (!isText(description, LONGEST_DESCRIPTION, NOT_IN_TEXT)) throw new TypeError(`${at}.description must be text of at most ${LONGEST_DESCRIPTION} characters, got ${shown(description)}`);
  return { title, description };
}

function isText(value, longest, refused) {
  return typeof value === "string" && value.isWellFormed() && !refused.test(value) && (value.length <= longest || Array.from(value).length <= longest);
}

/** Throw a TypeError if `value` is none of the texts `known`. */
export function oneOf(value, known, what) {
  if (known.includes(value)) return;
  const quoted = known.map((each) => `"${each}"`);
  throw new TypeError(`${what} must be ${quoted.slice(0, -1).join(", ")} or ${quoted.at(-1)}, got ${shown(value)}`);
}

function retryPolicy({ maxAttempts, initialInterval, factor, maxInterval, jitter }, defaults, what) {
  const at = `${what}: options.retry`;
  const policy = { ...defaults };
  if (maxAttempts !== undefined) policy.max_attempts = count(maxAttempts, `${at}.maxAttempts`);
  if (initialInterval !== undefined) policy.initial_interval_ms = milliseconds(initialInterval, `${at}.initialInterval`);
  if (factor !== undefined) policy.factor = atLeastOne(factor, `${at}.factor`);
  if (maxInterval !== undefined) policy.max_interval_ms = milliseconds(maxInterval, `${at}.maxInterval`);
  if (jitter !== undefined) policy.jitter = flag(jitter, `${at}.jitter`);
  return policy;
}

/** Return `value` if it is an object with no other members than those. */
export function members(value, known, what) {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new TypeError(`${what} must be an object, got ${shown(value)}`);
  const unknown = Object.keys(value).find((key) => !known.includes(key));
  if (unknown !== undefined) throw new TypeError(`${what}.${unknown} is unknown; known are ${known.join(", ")}`);
  return value;
}

function count(value, what) {
  if (!Number.isSafeInteger(value) || value < 0) throw new TypeError(`${what} must be a whole number, 0 for no limit, got ${shown(value)}`);
  return value;
}

function atLeastOne(value, what) {
  if (typeof value !== "number" || !(value >= 1) || value === Infinity) throw new TypeError(`${what} must be a number of at least 1, got ${shown(value)}`);
  return value;
}

function flag(value, what) {
  if (typeof value !== "boolean") throw new TypeError(`${what} must be true or false, got ${shown(value)}`);
  return value;
}

/** What a run may use. `warn(code, message, key)` leaves a warning, once for each code and key. */
export class Limits {
  constructor({ value, calls, journal }, warn) {
    this.bytes = value;
    this.calls = calls;
    this.journal = journal;
    this.warn = warn;
  }

  /** Throw a LimitError if a value is too large, whose JSON is `text`; `what()` names it. */
  check(text, what) {
    if (exceeds(text, this.bytes)) throw new LimitError(`${what()} is larger than ${this.bytes} bytes (limits.value)`);
  }

  /** Warn if a value is nearly too large. */
  tell(text, what, key) {
    if (exceeds(text, this.bytes * NEAR)) this.warn("limit", `${what()} is larger than 80 % of ${this.bytes} bytes (limits.value)`, key);
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
