// Durable sleeps: the instant of waking is in the journal, and is kept by every process that takes the run.

import { instantOf, milliseconds } from "./durations.mjs";

const parseInstant = Date.parse;

/** The kind of call that `sleep` makes. */
export class Sleeps {
  name = "sleep";
  signature = "sleep(name, duration)";
  // Whatever is durable later makes this durable too, and what is lost before that is asked for again.
  durable = false;
  #attempt;

  constructor(attempt) {
    this.#attempt = attempt;
  }

  /** Check the arguments of a call. */
  details(_name, duration) {
    return { ms: milliseconds(duration, `${this.signature}: duration`) };
  }

  /** Return what the request of a new call records. */
  fields(call) {
    const { now, stamp } = this.#attempt.port;
    const { ms, until } = call.details;
    // The clock is read rounded down, and a sleep never ends early.
    call.due = until ?? now() + ms + (ms > 0 ? 1 : 0);
    return { until: stamp(call.due) };
  }

  /** Begin to wait. */
  start(call) {
    call.cancel = this.#attempt.port.at(call.due, () => this.#attempt.settle(call, "completed"));
  }

  /** Go on waiting until the recorded instant. */
  resume(call, recorded) {
    call.due = parseInstant(recorded.until);
    this.start(call);
  }

  /** Stop waiting in this process. */
  halt(call) {
    call.cancel?.();
  }

  /** Say what a parked run waits for. */
  wait(call) {
    return { key: call.key, kind: "sleep" };
  }
}

/** The kind of call that `sleepUntil` makes. */
export class SleepsUntil extends Sleeps {
  signature = "sleepUntil(name, instant)";

  /** Check the arguments of a call. */
  details(_name, instant) {
    return { until: instantOf(instant, `${this.signature}: instant`) };
  }
}
