// One run in the hands of one claim: attempts of the body, and the ways in which a claim ends.

import { createApi, kindsFor } from "./api.mjs";
import { Attempt } from "./engine.mjs";
import { NonDeterminismError, TimeoutError, isFinal, recordError } from "./errors.mjs";
import { Mailbox } from "./orders.mjs";
import { Limits, allowsMore, completeSettings, pauseAfter, warner } from "./policy.mjs";
import { Quiet } from "./quiet.mjs";

const { parse, stringify } = JSON;
const ignore = () => undefined;
const OVER = "the body of the workflow has ended";
const CANCELED = "the run was canceled";
const LATE = "the run has taken too long";

/** Carries one run out. */
export class Run {
  /** Set when the body was left waiting for ever: it keeps its memory. */
  leftover = false;
  #port;
  #order;
  #settings;
  #hello;
  #load;
  #folder;
  #mailbox;
  #limits;
  #deadline;
  #attempt = null;
  #replayed = null;
  #over = false;
  #letGoAs = null;
  #closing = null;
  #interrupted = null;
  #onInterrupt = ignore;

  /**
   * `port` is what surrounds the run, `history` what its journal held when it was claimed, `load()` gives the workflow function, `folder()`
   * the run's folder. A run parks for more than `parkAfter` ms, and while it waits for a message not before `linger` ms.
   */
  constructor(port, { history, parkAfter, linger, load, folder }) {
    this.#port = port;
    this.#order = history.order;
    this.#settings = completeSettings(history.order.settings);
    this.#hello = { parkAfter, linger };
    this.#load = load;
    this.#folder = folder;
    this.#mailbox = new Mailbox(history.spent);
    this.#limits = new Limits(this.#settings.limits, warner(port.journal, history.warned));
    this.#deadline = this.#settings.timeout_ms > 0 ? history.firstClaimAt + this.#settings.timeout_ms : Infinity;
  }

  /** Carry the run out until it ends, parks or is let go. `history` is as above. */
  async carryOut(history) {
    const cancelDeadline = this.#deadline < Infinity ? this.#port.at(this.#deadline, () => this.#interrupt({ kind: "expired" })) : ignore;
    this.#port.changed();
    let past = history;
    while (await this.#carryOutAttempt(past)) past = this.#port.journal.read();
    cancelDeadline();
    this.#port.changed();
  }

  /** Take message `number` of the inbox. */
  receive(number, message) {
    this.#mailbox.put(number, message);
    if (message.type === "cancel") this.#interrupt({ kind: "canceled", inbox: number, reason: message.reason });
    else this.#attempt?.deliver();
  }

  /** Let the run go on in another process. */
  suspend(reason = "suspended") {
    this.#interrupt({ kind: "suspended", reason });
  }

  /** There is no space for the journal. */
  full() {
    this.#interrupt({ kind: "full" });
  }

  #interrupt(outcome) {
    if (this.#over) {
      this.#interruptClosing(outcome);
      return;
    }
    this.#interrupted ??= outcome;
    this.#attempt?.end(outcome);
    this.#onInterrupt(outcome);
  }

  /** A run that is over can be let go, but it ends as it has. */
  #interruptClosing(outcome) {
    if (outcome.kind !== "suspended" && outcome.kind !== "full") return;
    this.#letGoAs ??= outcome;
    this.#closing?.interrupt(outcome);
  }

  /** Carry one attempt of the body out; true if another follows. */
  async #carryOutAttempt(past) {
    const outcome = (await this.#before(past)) ?? (await this.#body(past));
    const more = await this.#conclude(outcome, past.attempt);
    for (const attempt of [this.#attempt, this.#replayed]) {
      if (attempt !== null && !attempt.bodyEnded) this.leftover = true;
      attempt?.close();
    }
    this.#attempt = null;
    const { journal } = this.#port;
    if (journal.full && !journal.releaseFull(this.#mailbox.read)) this.#port.noSpace();
    return more && !journal.full;
  }

  /** Return what keeps the body from being started, if anything; waits for the pause after a failure. */
  async #before({ canceling, ending, retryAt }) {
    if (ending !== null) return { kind: "closing", end: endOf(ending) };
    if (canceling !== null) return { kind: "canceled", reason: canceling.reason, acknowledged: true };
    const now = this.#port.now();
    if (this.#interrupted === null && this.#deadline <= now) return { kind: "expired" };
    if (this.#interrupted !== null || retryAt <= now) return this.#interrupted;
    const until = Math.min(retryAt, this.#deadline);
    if (until - now > this.#hello.parkAfter) return { kind: "parked", until, waits: [{ kind: "retry" }] };
    const cancel = this.#port.at(retryAt, () => this.#onInterrupt(null));
    const outcome = await new Promise((resolve) => (this.#onInterrupt = resolve));
    cancel();
    this.#onInterrupt = ignore;
    return outcome;
  }

  async #body(past) {
    const { code, outcome } = await this.#loaded();
    if (outcome !== undefined) return outcome;
    this.#attempt = this.#createAttempt(Attempt, past);
    const patience = this.#settings.step.timeout_ms || Infinity;
    this.#attempt.quiet = new Quiet(this.#attempt, { ...this.#hello, patience, deadline: this.#deadline });
    return this.#start(code, this.#attempt);
  }

  #createAttempt(Kind, past) {
    return new Kind(this.#port, past, { limits: this.#limits, mailbox: this.#mailbox });
  }

  #start({ workflow, kinds }, attempt) {
    const api = createApi(attempt, this.#order, { stepDefaults: this.#settings.step, folder: this.#folder, kinds });
    // Every attempt gets an input of its own: the code may change what it was given.
    const input = parse(stringify(this.#order.input ?? null));
    return attempt.run(() => workflow(input, api));
  }

  async #loadCode() {
    const workflow = await this.#load();
    return { workflow, kinds: await kindsFor(workflow) };
  }

  /** Return the code, or the outcome if there is none or an interruption came first. */
  async #loaded() {
    const interrupted = new Promise((resolve) => (this.#onInterrupt = (outcome) => resolve({ outcome })));
    const loaded = this.#loadCode().then(
      (code) => ({ code }),
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
        return this.#returned(outcome);
      case "threw":
        return this.#threw(outcome.error, number);
      case "refused":
        return this.#refused(outcome.error);
      case "canceled":
        return this.#canceled(outcome);
      case "expired":
        return this.#close({ status: "failed", error: this.#lateness(), reason: "timeout" }, LATE);
      case "closing":
        return this.#close(outcome.end, OVER);
      case "parked":
        return this.#letGo("parked", { until: outcome.until < Infinity ? this.#port.stamp(outcome.until) : undefined, waits: outcome.waits });
      case "suspended":
        await this.#attempt?.drain(this.#settings.cancel.grace_ms, null);
        return this.#letGo("released", { reason: outcome.reason });
      case "stuck":
        this.#port.journal.append("warning", { code: "grace", message: outcome.error.message });
        return this.#letGo("released", { reason: "grace" });
      default:
        return false;
    }
  }

  async #returned({ text, error }) {
    const what = () => "what the workflow returned";
    try {
      if (error !== undefined) throw error;
      this.#limits.check(text, what);
    } catch (problem) {
      return this.#close({ status: "failed", error: recordError(problem) });
    }
    this.#limits.tell(text, what);
    await this.#abandon(OVER);
    return this.#finish({ status: "completed" }, `,"output":${text}`);
  }

  async #threw(thrown, number) {
    const { retry } = this.#settings;
    const error = recordError(thrown);
    if (isFinal(error) || !allowsMore(number, retry)) return this.#close({ status: "failed", error });
    await this.#abandon(OVER);
    const retryAt = this.#port.now() + pauseAfter(number, retry);
    this.#port.journal.append("body.failed", { attempt: number, error, retry_at: this.#port.stamp(retryAt) });
    await this.#sync();
    this.#port.changed();
    return true;
  }

  async #refused(thrown) {
    const end = { status: "failed", error: recordError(thrown) };
    if (!(thrown instanceof NonDeterminismError)) return this.#close(end);
    await this.#abandon(OVER);
    return this.#finish(end);
  }

  async #canceled({ inbox, reason, acknowledged }) {
    this.#over = true;
    if (!acknowledged) {
      this.#port.journal.append("canceling", { inbox, reason });
      await this.#sync();
      this.#port.changed();
    }
    return this.#close({ status: "canceled", reason }, CANCELED);
  }

  #lateness() {
    return recordError(new TimeoutError(`the run did not end within its timeout of ${this.#settings.timeout_ms} ms`));
  }

  /** Let what is in flight end, clean up, and end as `end` says. */
  async #close(end, why = OVER) {
    this.#over = true;
    await this.#abandon(why);
    const interrupted = await this.#cleanUp(end);
    return interrupted === null ? this.#finish(end) : this.#letGo("released", { reason: interrupted.reason });
  }

  /** Clean up, if there is anything to; returns what has interrupted it, or null. */
  async #cleanUp(end) {
    const canceled = end.status === "canceled";
    const attempt = this.#attempt?.knowsAll ? this.#attempt : null;
    const needed = attempt === null ? this.#port.journal.read().mayNeedCleanUp(canceled) : attempt.needsCleanUp(canceled);
    if (!needed) return null;
    const { Closing } = await import("./closing.mjs");
    const replay = async (Kind, past) => {
      const code = await this.#loadCode();
      this.#replayed = this.#createAttempt(Kind, past);
      return { attempt: this.#replayed, outcome: this.#start(code, this.#replayed) };
    };
    this.#closing = new Closing(this.#port, { order: this.#order, settings: this.#settings, limits: this.#limits, replay, interrupted: this.#letGoAs });
    return this.#closing.carryOut(end, attempt);
  }

  async #finish(fields, raw = "") {
    this.#port.journal.append("finished", fields, raw);
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
    this.#port.journal.append(type, { ...fields, inbox: this.#mailbox.read });
    await this.#sync();
    return false;
  }

  async #sync() {
    const { journal } = this.#port;
    if (this.#port.alone()) journal.syncNow();
    else await journal.sync();
  }
}

function endOf({ status, error, reason }) {
  return { status, error, reason };
}
