// Steps: memoized calls, what a journal holds of their tries, and what follows when a try was cut off.

import { shown } from "./durations.mjs";
import { InDoubtError } from "./errors.mjs";
import { stepPolicy } from "./policy.mjs";
import { Tries } from "./tries.mjs";

const { stringify } = JSON;

/** The kind of call that `step` makes. */
export class Steps {
  name = "step";
  signature = "step(name, fn, options)";
  durable = true;
  /** Whether a call without a result leaves a record when the body has ended. */
  abandons = true;
  #attempt;
  #defaults;
  #tries;

  constructor(attempt, seed, defaults) {
    this.#attempt = attempt;
    this.#defaults = defaults;
    this.#tries = new Tries(attempt, seed);
  }

  /** Check the arguments of a call. */
  details(_name, fn, options) {
    if (typeof fn !== "function") throw new TypeError(`${this.signature}: fn must be a function, got ${shown(fn)}`);
    return { fn, policy: stepPolicy(options, this.#defaults, this.signature) };
  }

  /** Take note of how a step is undone. */
  asked({ key, details: { policy } }) {
    if (policy.compensate !== undefined) this.#attempt.undo.set(key, policy);
  }

  /** Return what the request of a new call records: its first try begins with it. */
  fields({ details: { policy } }) {
    return { try: 1, timeout_ms: policy.timeout_ms > 0 ? policy.timeout_ms : undefined, compensate: policy.compensate && true };
  }

  /** Return what the request of a call records whose result is in the memo. */
  kept({ details: { policy } }) {
    return { compensate: policy.compensate && true };
  }

  /** Begin the first try. */
  start(call) {
    call.failures = 0;
    this.#tries.begin(call, 1);
  }

  /** Go on after the tries that the journal holds. */
  resume(call) {
    const tries = this.#attempt.past.triesOf(call.key);
    const { onInDoubt } = call.details.policy;
    call.failures = tries.failures;
    call.number = tries.last;
    if (tries.state === "pausing" || onInDoubt === "retry") this.#tries.resume(call, tries);
    else if (onInDoubt === "ask") this.#ask(call, tries);
    else this.#tries.fail(call, new InDoubtError(`${cutOff(call)}, and may have had its effect (onInDoubt)`));
  }

  #ask(call, { asked, last }) {
    call.due = Infinity;
    call.address = `signal ${call.key}~in-doubt`;
    if (asked === last) return;
    this.#attempt.port.journal.append("asked", { key: call.key, try: last });
    this.#attempt.announce();
  }

  /** Do what a person has decided, if that has come. */
  deliver(call) {
    const taken = this.#attempt.mailbox.take(call.address);
    if (taken === undefined) return;
    const { number: inbox, message } = taken;
    const { data } = message;
    if (data === "retry") this.#again(call, inbox);
    else if (data === "fail") this.#tries.fail(call, new InDoubtError(`${cutOff(call)}, and a person decided that it failed`), inbox);
    else if (isResult(data)) this.#attempt.settle(call, "completed", { try: call.number, inbox }, stringify(data.result));
    else this.#ignore(call, inbox);
  }

  #again(call, inbox) {
    call.address = "";
    this.#attempt.goOn();
    this.#attempt.wake();
    this.#tries.begin(call, call.number + 1, true, inbox);
  }

  #ignore(call, inbox) {
    const message = `"retry", "fail" or {"result": ...} was expected for step ${shown(call.key)}, which is in doubt: message ${inbox} is ignored`;
    this.#attempt.port.journal.append("warning", { code: "in-doubt", message, key: call.key, inbox });
    this.deliver(call);
  }

  /** Start no further try in this process, and tell the running one to abort, if there is a reason. */
  halt(call, reason) {
    this.#tries.halt(call, reason);
  }

  /** Say what a parked run waits for. */
  wait({ key, address }) {
    return { key, kind: address === "" ? "retry" : "decision" };
  }
}

function cutOff({ key, number }) {
  return `step ${shown(key)} was cut off during try ${number}`;
}

function isResult(data) {
  return typeof data === "object" && data !== null && !Array.isArray(data) && Object.hasOwn(data, "result") && Object.keys(data).length === 1;
}
