// Tries of a function: its retries, timeouts, heartbeats and abort signals.

import { shown } from "./durations.mjs";
import { CrashError, TimeoutError, isFinal, recordError } from "./errors.mjs";
import { allowsMore, pauseAfter } from "./policy.mjs";
import { toJson } from "./values.mjs";

const RealAbortController = AbortController;
const TOLD_EVERY_MS = 1000;
const ignore = () => undefined;

/** One running body of a step. */
class Try {
  #controller = null;
  #reason;
  beatAt = 0;
  cancelTimeout = null;
  cancelHeart = null;

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

/**
 * Runs the tries of calls whose details are `{fn, policy}`, for a keeper that records what becomes of them: an attempt of the body, or clean-up.
 * A keeper has `port`, `limits`, `effects` (what must be durable before a body starts), `stopped`, `aborting`, `bodies`, `alone()`,
 * `settle(call, type, fields, text)`, `durable()`, `goOn()` and `stepOver()`.
 */
export class Tries {
  #keeper;
  #seed;

  constructor(keeper, seed) {
    this.#keeper = keeper;
    this.#seed = seed;
  }

  /** Begin try `number`, whose record is that of the request if it is the first; `inbox` is the message that decided it. */
  begin(call, number, inDoubt = false, inbox = undefined) {
    const keeper = this.#keeper;
    const { journal } = keeper.port;
    if (number > 1) {
      journal.append("started", { key: call.key, try: number, inbox });
      if (keeper.stopped) return;
    }
    call.due = undefined;
    call.number = number;
    call.inDoubt = inDoubt;
    const running = (call.running = new Try());
    const position = call.details.policy.onInDoubt === "retry" ? keeper.effects : journal.size;
    if (position > journal.synced && keeper.alone()) journal.syncNow();
    keeper.bodies += 1;
    if (position <= journal.synced) this.#invoke(call, running);
    else journal.sync().then(() => (keeper.stopped ? this.#ended(call, running, ignore) : this.#invoke(call, running)));
  }

  /** Go on after the tries that the journal holds: the last one pauses, or was cut off and is repeated. */
  resume(call, { state, last, failures, inDoubt, died, retryAt }) {
    call.failures = failures;
    call.number = last;
    if (state === "pausing") this.pause(call, last + 1, inDoubt, retryAt);
    else if (!died || allowsMore(failures, call.details.policy.retry)) this.begin(call, last + 1, true);
    else this.fail(call, new CrashError(`step ${shown(call.key)} failed: its worker died during try ${last}, and no try is left`));
  }

  /** Let the call fail for good; `inbox` is the message that decided it. */
  fail(call, error, inbox = undefined) {
    this.#keeper.settle(call, "failed", { try: call.number, error: recordError(error), inbox });
  }

  /** Begin try `number` at an instant, when what was written by then is `durable`. */
  pause(call, number, inDoubt, until, durable = undefined) {
    const keeper = this.#keeper;
    call.due = until;
    call.cancel = keeper.port.at(until, async () => {
      await durable;
      if (keeper.stopped) return;
      keeper.goOn();
      this.begin(call, number, inDoubt);
    });
  }

  /** Start no further try in this process, and tell the running one to abort, if there is a reason. */
  halt(call, reason) {
    call.cancel?.();
    if (reason !== null) call.running?.abort(reason);
  }

  #invoke(call, running) {
    const { fn } = call.details;
    let result;
    let pending;
    try {
      result = this.#keeper.port.scope.enter(call.key, () => (fn.length >= 1 ? fn(this.#context(call, running)) : fn()));
      pending = isThenable(result);
    } catch (error) {
      this.#ended(call, running, () => this.#failed(call, error));
      return;
    }
    if (!pending) {
      this.#ended(call, running, () => this.#completed(call, result));
      return;
    }
    this.#watch(call, running);
    Promise.resolve(result).then(
      (value) => this.#ended(call, running, () => this.#completed(call, value)),
      (error) => this.#ended(call, running, () => this.#failed(call, error)),
    );
  }

  #context(call, running) {
    const key = `${this.#seed}/${call.key}`;
    return {
      // Good enough where only the key is wanted, as in a template.
      __proto__: { toString: () => key },
      key,
      attempt: call.number,
      inDoubt: call.inDoubt,
      get signal() {
        return running.signal;
      },
      heartbeat: (details) => this.#beat(call, running, details),
    };
  }

  #beat(call, running, details) {
    const { port, limits } = this.#keeper;
    const text = details === undefined ? undefined : toJson(details);
    if (text !== undefined) limits.check(text, () => `the details of a heartbeat of step ${shown(call.key)}`);
    if (call.running !== running || call.closed) return;
    running.beatAt = port.elapsed();
    if (running.beatAt - (call.toldAt ?? -Infinity) < TOLD_EVERY_MS) return;
    call.toldAt = running.beatAt;
    port.journal.append("heartbeat", { key: call.key }, text === undefined ? "" : `,"details":${text}`);
  }

  #watch(call, running) {
    const { after, elapsed } = this.#keeper.port;
    const { timeout_ms: timeout, heartbeat_ms: longest } = call.details.policy;
    if (timeout > 0) running.cancelTimeout = after(timeout, () => this.#timedOut(call, running, `took longer than ${timeout} ms`));
    if (longest === 0) return;
    if (running.beatAt === 0) running.beatAt = elapsed();
    const look = () => {
      const left = running.beatAt + longest - elapsed();
      if (left > 0) running.cancelHeart = after(left, look);
      else this.#timedOut(call, running, `sent no heartbeat for ${longest} ms`);
    };
    look();
  }

  /** Record what became of a try, unless it was given up before. */
  #ended(call, running, record) {
    if (call.running !== running) return;
    call.running = null;
    running.cancelTimeout?.();
    running.cancelHeart?.();
    if (!call.closed) record();
    this.#keeper.stepOver();
  }

  #timedOut(call, running, what) {
    const error = new TimeoutError(`step ${shown(call.key)} ${what}`);
    this.#ended(call, running, () => this.#failed(call, error));
    running.abort(error);
  }

  #completed(call, value) {
    const { limits } = this.#keeper;
    const what = () => `the result of step ${shown(call.key)}`;
    let text;
    try {
      text = toJson(value);
      limits.check(text, what);
    } catch (error) {
      this.#failed(call, error);
      return;
    }
    limits.tell(text, what, call.key);
    this.#keeper.settle(call, "completed", { try: call.number }, text);
  }

  #failed(call, thrown) {
    const error = recordError(thrown);
    const { retry } = call.details.policy;
    const keeper = this.#keeper;
    call.failures += 1;
    if (isFinal(error) || !allowsMore(call.failures, retry) || keeper.aborting) {
      keeper.settle(call, "failed", { try: call.number, error });
      return;
    }
    const { port } = keeper;
    const retryAt = port.now() + pauseAfter(call.failures, retry);
    port.journal.append("retrying", { key: call.key, try: call.number, error, retry_at: port.stamp(retryAt) });
    const durable = keeper.durable();
    if (!keeper.stopped) this.pause(call, call.number + 1, call.inDoubt, retryAt, durable);
  }
}

function isThenable(value) {
  return ((typeof value === "object" && value !== null) || typeof value === "function") && typeof value.then === "function";
}
