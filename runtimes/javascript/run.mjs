// One run in the hands of one claim: attempts of the body, and the ways in which a claim ends.

import { createApi } from "./api.mjs";
import { Attempt } from "./engine.mjs";
import { LimitError, TimeoutError, isFinal, recordError } from "./errors.mjs";
import { allowsMore, completeSettings, pauseAfter } from "./policy.mjs";
import { Quiet } from "./quiet.mjs";
import { exceeds, toJson } from "./values.mjs";

const { parse, stringify } = JSON;
const parseInstant = Date.parse;
const ignore = () => undefined;
const OVER = "the body of the workflow has ended";

/** Carries one run out. */
export class Run {
  /** Set when the body was left waiting for ever: it keeps its memory. */
  leftover = false;
  #port;
  #order;
  #settings;
  #parkAfter;
  #load;
  #folder;
  #attempt = null;
  #interrupted = null;
  #onInterrupt = ignore;

  /** `port` is what surrounds the run, `load()` gives the workflow function, `folder()` the run's folder. */
  constructor(port, { order, parkAfter, load, folder }) {
    this.#port = port;
    this.#order = order;
    this.#settings = completeSettings(order.settings);
    this.#parkAfter = parkAfter;
    this.#load = load;
    this.#folder = folder;
  }

  /** Carry the run out until it ends, parks or is let go. `history` is what its journal held when it was claimed. */
  async carryOut(history) {
    const cancelDeadline = this.#watchDeadline();
    this.#port.changed();
    let past = history;
    while (await this.#carryOutAttempt(past)) past = this.#port.journal.read();
    cancelDeadline();
    this.#port.changed();
  }

  /** Cancel the run; `inbox` is the number of the request. */
  cancel(inbox, reason) {
    this.#interrupt({ kind: "canceled", inbox, reason });
  }

  /** Let the run go on in another process. */
  suspend() {
    this.#interrupt({ kind: "suspended" });
  }

  /** There is no space for the journal. */
  full() {
    this.#interrupt({ kind: "full" });
  }

  #interrupt(outcome) {
    this.#interrupted ??= outcome;
    this.#attempt?.end(outcome);
    this.#onInterrupt(outcome);
  }

  #watchDeadline() {
    if (!this.#order.deadline) return ignore;
    return this.#port.at(parseInstant(this.#order.deadline), () => this.#interrupt({ kind: "expired" }));
  }

  /** Carry one attempt of the body out; true if another follows. */
  async #carryOutAttempt(past) {
    const outcome = (await this.#before(past)) ?? (await this.#body(past));
    const more = await this.#conclude(outcome, past.attempt);
    if (this.#attempt !== null && !this.#attempt.bodyEnded) this.leftover = true;
    this.#attempt?.close();
    this.#attempt = null;
    const { journal } = this.#port;
    if (journal.full) journal.releaseFull();
    return more && !journal.full;
  }

  /** Return what keeps the body from being started, if anything; waits for the pause after a failure. */
  async #before({ canceling, retryAt }) {
    if (canceling !== null) return { kind: "canceled", reason: canceling.reason, acknowledged: true };
    if (this.#interrupted !== null || retryAt <= this.#port.now()) return this.#interrupted;
    if (retryAt - this.#port.now() > this.#parkAfter) return { kind: "parked", until: retryAt, waits: [{ kind: "retry" }] };
    const cancel = this.#port.at(retryAt, () => this.#onInterrupt(null));
    const outcome = await new Promise((resolve) => (this.#onInterrupt = resolve));
    cancel();
    this.#onInterrupt = ignore;
    return outcome;
  }

  async #body(past) {
    const { workflow, outcome } = await this.#loaded();
    if (outcome !== undefined) return outcome;
    const { limits, step } = this.#settings;
    const attempt = new Attempt(this.#port, past, limits);
    attempt.quiet = new Quiet(attempt, { parkAfter: this.#parkAfter, patience: step.timeout_ms || Infinity });
    this.#attempt = attempt;
    const api = createApi(attempt, this.#order, { stepDefaults: step, folder: this.#folder });
    // Every attempt gets an input of its own: the code may change what it was given.
    const input = parse(stringify(this.#order.input ?? null));
    return attempt.run(() => workflow(input, api));
  }

  /** Return the workflow function, or the outcome if there is none or an interruption came first. */
  async #loaded() {
    const interrupted = new Promise((resolve) => (this.#onInterrupt = (outcome) => resolve({ outcome })));
    const loaded = this.#load().then(
      (workflow) => ({ workflow }),
      (error) => ({ outcome: { kind: "refused", error } }),
    );
    const first = await Promise.race([loaded, interrupted]);
    this.#onInterrupt = ignore;
    return this.#interrupted === null ? first : { outcome: this.#interrupted };
  }

  /** Write what an outcome means; true if another attempt of the body follows. */
  async #conclude(outcome, number) {
    switch (outcome.kind) {
      case "returned":
        return this.#returned(outcome.value);
      case "threw":
        return this.#threw(outcome.error, number);
      case "refused":
        return this.#finish("failed", { error: recordError(outcome.error) });
      case "canceled":
        return this.#canceled(outcome);
      case "expired":
        return this.#finish("failed", { error: this.#lateness(), reason: "deadline" });
      case "parked":
        return this.#letGo("parked", { until: this.#port.stamp(outcome.until), waits: outcome.waits });
      case "suspended":
        await this.#attempt?.drain(this.#settings.cancel.grace_ms, null);
        return this.#letGo("released", { reason: "suspended" });
      case "stuck":
        this.#port.journal.append("warning", { code: "grace", message: outcome.error.message });
        return this.#letGo("released", { reason: "grace" });
      default:
        return false;
    }
  }

  async #returned(value) {
    const { value: limit } = this.#settings.limits;
    let text;
    try {
      text = toJson(value);
      if (exceeds(text, limit)) throw new LimitError(`what the workflow returned is larger than ${limit} bytes (limits.value)`);
    } catch (error) {
      return this.#finish("failed", { error: recordError(error) });
    }
    return this.#finish("completed", {}, `,"output":${text}`);
  }

  async #threw(thrown, number) {
    const { retry } = this.#settings;
    const error = recordError(thrown);
    if (isFinal(error) || !allowsMore(number, retry)) return this.#finish("failed", { error });
    await this.#abandon(OVER);
    const retryAt = this.#port.now() + pauseAfter(number, retry);
    this.#port.journal.append("body.failed", { attempt: number, error, retry_at: this.#port.stamp(retryAt) });
    await this.#sync();
    this.#port.changed();
    return true;
  }

  async #canceled({ inbox, reason, acknowledged }) {
    if (!acknowledged) {
      this.#port.journal.append("canceling", { inbox, reason });
      await this.#sync();
      this.#port.changed();
    }
    return this.#finish("canceled", { reason }, "", "the run was canceled");
  }

  #lateness() {
    return recordError(new TimeoutError(`the run did not end before its deadline ${this.#order.deadline}`));
  }

  async #finish(status, fields, raw = "", why = OVER) {
    await this.#abandon(why);
    this.#port.journal.append("finished", { status, ...fields }, raw);
    await this.#sync();
    return false;
  }

  /** Let the steps in flight end, and record those that do not. */
  async #abandon(why) {
    if (this.#attempt === null) return;
    await this.#attempt.drain(this.#settings.cancel.grace_ms, why);
    for (const key of this.#attempt.close()) this.#port.journal.append("abandoned", { key });
  }

  async #letGo(type, fields) {
    this.#port.journal.append(type, fields);
    await this.#sync();
    return false;
  }

  async #sync() {
    const { journal } = this.#port;
    if (this.#port.alone()) journal.syncNow();
    else await journal.sync();
  }
}
