// Signals: waiting for those of this run, and sending them to others.

import { checkName } from "./calls.mjs";
import { shown } from "./durations.mjs";
import { addressOfWait } from "./orders.mjs";
import { approvalOption, members, timeoutOption } from "./policy.mjs";
import { toJson } from "./values.mjs";
import { Waits } from "./waits.mjs";

const { parse, stringify } = JSON;
const LONGEST_RUN = 500;

/** The kind of call that `waitForSignal` makes. */
export class Signals extends Waits {
  name = "signal";
  signature = "waitForSignal(signal, options)";
  named = "signal";

  /** Check the arguments of a call. */
  details(_name, signal, options = {}) {
    const { timeout, approval } = members(options, ["name", "timeout", "approval"], `${this.signature}: options`);
    checkName(signal, `${this.signature}: signal`);
    return { signal, timeout: timeoutOption(timeout, this.signature), approval: approvalOption(approval, this.signature) };
  }

  /** Return what the request of a new call records. */
  fields(call) {
    const { signal, timeout, approval } = call.details;
    return { signal, ...this.until(call, timeout), approval };
  }

  /** Begin to wait. */
  start(call) {
    this.#tell(call);
    super.start(call);
  }

  /** Record the result. */
  settle(call, ...result) {
    this.#tell(call);
    super.settle(call, ...result);
  }

  /** Where a person is asked, or no more, somebody else has to know. */
  #tell({ details: { approval } }) {
    if (approval !== undefined) this.attempt.announce();
  }

  /** Say where its message comes in. */
  address(call) {
    const { key, details } = call;
    call.own = addressOfWait(this.attempt.past.attempt, key);
    return `signal ${details.signal}`;
  }

  /** Take the next signal of that name, if one has come. */
  deliver(call) {
    const taken = this.attempt.mailbox.take(call.address, call.own);
    if (taken !== undefined) this.settle(call, "completed", { inbox: taken.number }, stringify(taken.message.data ?? null));
  }

  /** The time is over. */
  expire(call) {
    this.settle(call, "completed", { expired: true });
  }

  /** Say what a parked run waits for. */
  wait({ key, details }) {
    return { key, kind: this.name, signal: details.signal };
  }
}

/** The kind of call that `sendSignal` makes. */
export class Sends extends Waits {
  name = "send";
  signature = "sendSignal(run, signal, data, options)";
  named = "signal";
  effect = true;

  /** Check the arguments of a call. */
  details(_name, run, signal, data, options = {}) {
    members(options, ["name"], `${this.signature}: options`);
    checkName(signal, `${this.signature}: signal`);
    if (typeof run !== "string" || run === "" || run.length > LONGEST_RUN) throw new TypeError(`${this.signature}: run must be text of 1 to ${LONGEST_RUN} bytes, got ${shown(run)}`);
    const what = () => `the data of signal ${shown(signal)}`;
    const text = toJson(data);
    this.attempt.limits.check(text, what);
    return { run, signal, text, what };
  }

  /** Return what the request of a new call records. */
  fields({ key, details: { run, signal, text, what } }) {
    this.attempt.limits.tell(text, what, key);
    return { run, signal, data: parse(text) };
  }

  /** Say where its message comes in. */
  address({ key }) {
    return `sent ${key}`;
  }

  /** End if it is told that the signal has arrived, or why it cannot. */
  deliver(call) {
    const taken = this.attempt.mailbox.take(call.address);
    if (taken === undefined) return;
    const { number: inbox, message } = taken;
    if (message.error === undefined) this.settle(call, "completed", { inbox }, "null");
    else this.settle(call, "failed", { error: message.error, inbox });
  }
}
