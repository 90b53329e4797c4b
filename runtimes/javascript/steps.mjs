// Steps: the tries of a memoized call, their retries, timeouts and abort signals.

import { shown } from "./durations.mjs";
import { LimitError, TimeoutError, isFinal, recordError } from "./errors.mjs";
import { allowsMore, pauseAfter, stepPolicy } from "./policy.mjs";
import { exceeds, toJson } from "./values.mjs";

const RealAbortController = AbortController;

/** One running body of a step. */
class Try {
  #controller = null;
  #reason;
  cancelTimeout = null;

  get signal() {
    this.#controller ??= new RealAbortController();
    if (this.#reason !== undefined) this.#controller.abort(this.#reason);
    return this.#controller.signal;
  }

  abort(reason) {
    this.#reason = reason;
    this.#controller?.abort(reason);
  }
}

/** The kind of call that `step` makes. */
export class Steps {
  name = "step";
  signature = "step(name, fn, options)";
  durable = true;
  #attempt;
  #uid;
  #defaults;

  constructor(attempt, uid, defaults) {
    this.#attempt = attempt;
    this.#uid = uid;
    this.#defaults = defaults;
  }

  /** Check the arguments of a call. */
  details(_name, fn, options) {
    if (typeof fn !== "function") throw new TypeError(`${this.signature}: fn must be a function, got ${shown(fn)}`);
    return { fn, policy: stepPolicy(options, this.#defaults, this.signature) };
  }

  /** Return what the request of a new call records: its first try begins with it. */
  fields() {
    return { try: 1 };
  }

  /** Begin the first try. */
  start(call) {
    call.failures = 0;
    this.#run(call, 1, false);
  }

  /** Go on after the tries that the journal holds. */
  resume(call) {
    const { last, failures, inDoubt, over, retryAt } = this.#attempt.past.triesOf(call.key);
    call.failures = failures;
    if (over) this.#pause(call, last + 1, inDoubt, retryAt);
    else this.#run(call, last + 1, true);
  }

  /** Start no further try in this process, and tell the running one to abort, if there is a reason. */
  halt(call, reason) {
    call.cancel?.();
    if (reason !== null) call.running?.abort(reason);
  }

  /** Say what a parked run waits for. */
  wait(call) {
    return { key: call.key, kind: "retry" };
  }

  #run(call, number, inDoubt) {
    const attempt = this.#attempt;
    if (number > 1) {
      attempt.port.journal.append("started", { key: call.key, try: number });
      if (attempt.stopped) return;
    }
    call.due = undefined;
    call.number = number;
    call.inDoubt = inDoubt;
    call.running = new Try();
    attempt.bodies += 1;
    this.#invoke(call, call.running);
  }

  #invoke(call, running) {
    const { fn, policy } = call.details;
    let result;
    let pending;
    try {
      result = this.#attempt.port.scope.enter(call.key, () => (fn.length >= 1 ? fn(this.#context(call, running)) : fn()));
      pending = isThenable(result);
    } catch (error) {
      this.#ended(call, running, () => this.#failed(call, error));
      return;
    }
    if (!pending) {
      this.#ended(call, running, () => this.#completed(call, result));
      return;
    }
    if (policy.timeout_ms > 0) running.cancelTimeout = this.#attempt.port.after(policy.timeout_ms, () => this.#timedOut(call, running));
    Promise.resolve(result).then(
      (value) => this.#ended(call, running, () => this.#completed(call, value)),
      (error) => this.#ended(call, running, () => this.#failed(call, error)),
    );
  }

  #context(call, running) {
    const key = `${this.#uid}/${call.key}`;
    return {
      // Good enough where only the key is wanted, as in a template.
      __proto__: { toString: () => key },
      key,
      attempt: call.number,
      inDoubt: call.inDoubt,
      get signal() {
        return running.signal;
      },
      heartbeat: (details) => {
        call.heartbeat = { at: this.#attempt.port.now(), details };
      },
    };
  }

  /** Record what became of a try, unless it was given up before. */
  #ended(call, running, record) {
    if (call.running !== running) return;
    call.running = null;
    running.cancelTimeout?.();
    if (!call.closed) record();
    this.#attempt.stepOver();
  }

  #timedOut(call, running) {
    const error = new TimeoutError(`step ${shown(call.key)} took longer than ${call.details.policy.timeout_ms} ms`);
    this.#ended(call, running, () => this.#failed(call, error));
    running.abort(error);
  }

  #completed(call, value) {
    let text;
    try {
      text = toJson(value);
      const { value: limit } = this.#attempt.limits;
      if (exceeds(text, limit)) throw new LimitError(`the result of step ${shown(call.key)} is larger than ${limit} bytes (limits.value)`);
    } catch (error) {
      this.#failed(call, error);
      return;
    }
    this.#attempt.settle(call, "completed", { try: call.number }, text);
  }

  #failed(call, thrown) {
    const error = recordError(thrown);
    const { retry } = call.details.policy;
    const attempt = this.#attempt;
    call.failures += 1;
    if (isFinal(error) || !allowsMore(call.failures, retry) || attempt.aborting) {
      attempt.settle(call, "failed", { try: call.number, error });
      return;
    }
    const retryAt = attempt.port.now() + pauseAfter(call.failures, retry);
    attempt.port.journal.append("retrying", { key: call.key, try: call.number, error, retry_at: attempt.port.stamp(retryAt) });
    const durable = attempt.durable();
    if (!attempt.stopped) this.#pause(call, call.number + 1, call.inDoubt, retryAt, durable);
  }

  #pause(call, number, inDoubt, until, durable = Promise.resolve()) {
    call.due = until;
    call.cancel = this.#attempt.port.at(until, async () => {
      await durable;
      if (this.#attempt.stopped) return;
      this.#attempt.goOn();
      this.#run(call, number, inDoubt);
    });
  }
}

function isThenable(value) {
  return ((typeof value === "object" && value !== null) || typeof value === "function") && typeof value.then === "function";
}
