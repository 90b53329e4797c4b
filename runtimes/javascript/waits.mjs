// What the calls share that wait for a message.

const parseInstant = Date.parse;
const LOOK_AGAIN_MS = 10;

/** A kind of call that ends with a message for `address(call)`, or when its time is over: `deliver(call)` and `expire(call)` say how. */
export class Waits {
  // Whatever is durable later makes this durable too, and the message is still there.
  durable = false;
  /** Whether the reconciler has to do something for it: what came before must be durable by then. */
  effect = false;

  constructor(attempt) {
    this.attempt = attempt;
  }

  /** Return the members of a new request that say until when to wait. */
  until(call, timeout) {
    if (timeout === undefined) return {};
    const { now, stamp } = this.attempt.port;
    call.due = now() + timeout;
    return { until: stamp(call.due) };
  }

  /** Begin to wait. */
  start(call) {
    call.due ??= Infinity;
    this.#listen(call);
    if (this.effect) this.attempt.announce();
    this.deliver(call);
  }

  /** Go on waiting; what has come is delivered when everything recorded was asked for. */
  resume(call, { until }) {
    call.due = until === undefined ? Infinity : parseInstant(until);
    this.#listen(call);
  }

  #listen(call) {
    call.address = this.address(call);
    if (call.due < Infinity) call.cancel = this.attempt.port.at(call.due, () => this.#over(call));
  }

  #over(call) {
    const { attempt } = this;
    // What is there by now came in time.
    attempt.port.readInbox();
    if (call.closed || attempt.stopped) return;
    if (attempt.unasked === undefined) this.expire(call);
    else call.cancel = attempt.port.after(LOOK_AGAIN_MS, () => this.#over(call));
  }

  /** Record the result that a message brings. */
  settle(call, type, fields, text) {
    call.cancel?.();
    this.attempt.settle(call, type, fields, text);
  }

  /** Stop waiting in this process. */
  halt(call) {
    call.cancel?.();
  }

  /** Say what a parked run waits for. */
  wait({ key }) {
    return { key, kind: this.name };
  }
}
