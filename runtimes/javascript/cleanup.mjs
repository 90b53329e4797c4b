// Clean-up of a run that failed or was canceled: journaled tries of functions, one after another.

import { shown } from "./durations.mjs";
import { Tries } from "./tries.mjs";

const ON_CANCEL = "ty/on-cancel~run";

/**
 * Return what has to be cleaned up, in order, as `{key, fn, policy}`: what `onCancel` was given, then the compensations, the last step to complete
 * first. `fn` is undefined where the code no longer gives it.
 */
export function toCleanUp({ results, byKey, memo }, { undo, onCancel }, { canceled, defaults }) {
  const items = canceled && onCancel !== null ? [{ key: ON_CANCEL, fn: alone(onCancel), policy: defaults }] : [];
  for (const { type, key, memo: known, value } of results.toReversed()) {
    const policy = undo.get(key);
    const found = known ? memo.get(key) : { value };
    if (type !== "completed") continue;
    const item = { key: `${key}~compensate`, policy: { ...(policy ?? defaults), heartbeat_ms: 0, onInDoubt: "retry" } };
    if (policy !== undefined) items.push({ ...item, fn: alone(policy.compensate, found.value ?? null) });
    else if (byKey.get(key)?.compensate) items.push(item);
  }
  return items;
}

/** Return a function whose result does not matter. */
function alone(fn, ...given) {
  return async (context) => {
    await fn(...given, context);
  };
}

/** Carries clean-up out, as the keeper of its tries. */
export class CleanUp {
  bodies = 0;
  effects = 0;
  aborting = false;
  stopped = false;
  #history;
  #tries;
  #call = null;
  #over = null;

  constructor(port, history, { limits, seed }) {
    this.port = port;
    this.limits = limits;
    this.#history = history;
    this.#tries = new Tries(this, seed);
  }

  /** Carry out what has not been, until all is done or it is stopped. */
  async carryOut(items) {
    for (const item of items) {
      if (this.stopped) return;
      await this.#carryOutOne(item);
    }
  }

  async #carryOutOne({ key, fn, policy }) {
    const { cleanUps } = this.#history;
    const { warn } = this.limits;
    if (fn === undefined) {
      warn("clean-up", `${shown(key)} cannot be run: the code no longer gives it`, key);
      return;
    }
    const result = cleanUps.get(key) ?? (await this.#result({ key, details: { fn, policy }, failures: 0, closed: false }, cleanUps.has(key)));
    if (result?.type === "failed") warn("clean-up", `${shown(key)} failed: ${result.error.message}`, key);
  }

  /** Return the result of a call; null if it was stopped before. */
  async #result(call, known) {
    const { journal } = this.port;
    const over = new Promise((resolve) => (this.#over = resolve));
    this.#call = call;
    if (known) this.#tries.resume(call, this.#history.triesOf(call.key));
    else {
      const { timeout_ms: timeout } = call.details.policy;
      journal.append("requested", { key: call.key, kind: "clean-up", try: 1, timeout_ms: timeout > 0 ? timeout : undefined });
      if (!this.stopped) this.#tries.begin(call, 1);
    }
    if (this.stopped) return null;
    const result = await over;
    await this.durable();
    return result;
  }

  /** Start nothing more. What runs is told to abort if there is a reason, else it is waited for during `grace` ms. */
  stop(grace, reason = null) {
    if (this.stopped) return;
    this.stopped = true;
    if (this.#call === null) return;
    this.#tries.halt(this.#call, reason);
    if (grace === 0 || this.bodies === 0) this.#giveUp();
    else this.port.after(grace, () => this.#giveUp());
  }

  #giveUp() {
    this.#call.closed = true;
    this.#over?.(null);
  }

  /** The key of what runs or waits for its next try. */
  get key() {
    return this.#call?.key;
  }

  /** Record the result of a call. */
  settle(call, type, fields, text) {
    call.closed = true;
    this.port.journal.append(type, { key: call.key, ...fields }, text === undefined ? "" : `,"value":${text}`);
    this.#over({ type, ...fields });
  }

  /** Make everything durable that was written so far; settled when it is. */
  async durable() {
    if (this.alone()) this.port.journal.syncNow();
    else await this.port.journal.sync();
  }

  /** Say whether nothing else in the process has to wait for a sync. */
  alone() {
    return this.port.alone();
  }

  /** Say that a wait is over. */
  goOn() {}

  /** Say that a try has ended. */
  stepOver() {
    this.bodies -= 1;
    if (this.stopped) this.#giveUp();
  }
}
