// One attempt of the body: calls are matched with the journal, and results are released to the code one at a time,
// in journal order, live and in replay alike. Knows nothing of files, so that another journal can take their place.

import { Calls } from "./calls.mjs";
import { shown } from "./durations.mjs";
import { AbortError, NonDeterminismError, rebuildError } from "./errors.mjs";
import { Releases } from "./releases.mjs";
import { toJson } from "./values.mjs";

const { parse } = JSON;
const ignore = () => undefined;

/**
 * The rules of replay for one attempt of the body.
 *
 * A kind of call is an object with `name` and `signature`; `details(...)` checks the arguments, `fields(call)` is what its request
 * records. One with a result has `durable` (whether that is synced before it is released), `start(call)`, `resume(call, recorded)`,
 * `halt(call, reason)`, for what can wait `wait(call)`, and for what waits for messages `deliver(call)`; `effect` says that something
 * outside follows from its request, `kept(call)` is what that records beside `memo`, `abandons` that it leaves a record if the body ends before it, `asked(call)` sees every call.
 * One that returns at once has `value(call, found)` and `noted(call, position)`, and `unnamed`, its name where it is given none.
 */
export class Attempt extends Releases {
  /** Calls whose result is not recorded. */
  open = new Set();
  /** New calls that wait until all that is recorded was asked for and released. */
  held = [];
  /** Set when a try that fails is its step's last, because the body has ended. */
  aborting = false;
  /** How the body ended, while recorded requests may still be asked for. */
  ending = null;
  /** Set once the body has ended, in whatever way. */
  bodyEnded = false;
  /** Up to where the journal must be durable before a body of a step starts: each `now` that was given out. */
  effects = 0;
  /** How completed steps are undone, by key, and what to do when the run is canceled. */
  undo = new Map();
  onCancel = null;
  #recorded;
  #calls;
  #unasked = 0;
  #announcing = false;
  #end;

  /** `port` is what surrounds the run (journal, clock, scope), `past` its history. */
  constructor(port, past, { limits, mailbox }) {
    super(port, past.results);
    this.past = past;
    this.limits = limits;
    this.mailbox = mailbox;
    this.#calls = new Calls(port.scope, limits);
    this.#recorded = past.results.length;
    if (past.requests.some(({ kind }) => kind === "now")) this.effects = this.found;
    this.outcome = new Promise((resolve) => (this.#end = resolve));
  }

  /** Start the body; the promise tells how it ended, or why it was stopped. */
  run(body) {
    this.begin(() => this.#start(body));
    return this.outcome;
  }

  #start(body) {
    this.bodyEnded = this.stopped;
    if (this.stopped) return;
    const started = this.port.scope.enter(undefined, () => new Promise((resolve) => resolve(body())));
    started.then(
      (value) => this.#bodyOver(outcomeOf(value)),
      (error) => this.#bodyOver({ kind: "threw", error }),
    );
    this.wake();
  }

  /** Make a call of `kind` and return the promise of its result. */
  call(kind, name, ...options) {
    if (this.stopped && this.port.scope.step() === undefined) return new Promise(ignore);
    let call;
    try {
      call = this.#accept(kind, name, options);
    } catch (error) {
      return Promise.reject(error);
    }
    kind.asked?.(call);
    this.match(call, this.past.byKey.get(call.key));
    return call.promise;
  }

  /** Make a call of a kind that returns at once. */
  callNow(kind, name, ...options) {
    const call = this.#accept(kind, name, options);
    const recorded = this.past.byKey.get(call.key);
    const value = kind.value(call, [recorded, this.past.memo.get(call.key)].find((found) => found?.kind === kind.name));
    this.#calls.forget(call.key);
    if (!this.stopped) this.match(call, recorded);
    return value;
  }

  /** Throw a CallError if a call is made inside the body of a step. */
  refuseInStep(kind, name) {
    this.#calls.refuseInStep(kind, name);
  }

  /** Record a marker. */
  leaveMark(id) {
    this.port.journal.append("marker", { id });
  }

  #accept(kind, name, options) {
    const call = this.#calls.accept(kind, name, options);
    call.repeats = call.count > 1 && !this.woken && this.open.size > 0;
    return call;
  }

  /** Find the place of a call among what is recorded. */
  match(call, recorded) {
    if (recorded === undefined) this.ask(call);
    else if (recorded.kind === call.kind.name) this.#again(call, recorded);
    else this.#refuse(new NonDeterminismError(`${call.kind.name} ${shown(call.key)} was recorded as a ${recorded.kind}: the code has changed since`));
    this.wake();
  }

  /** Take a call that is not recorded: its turn comes when all that is recorded was asked for and released. */
  ask(call) {
    if (this.#caughtUp() && this.takesMore) this.#commit(call);
    else this.held.push(call);
  }

  #again(call, recorded) {
    const { requests } = this.past;
    while (this.#unasked < requests.length && this.#calls.has(requests[this.#unasked].key)) this.#unasked += 1;
    if (call.kind.noted !== undefined) call.kind.noted(call, this.found);
    else if (!this.past.settled.has(call.key)) this.goOnWith(call, recorded);
    if (this.ending !== null) this.allAsked();
    else if (this.unasked === undefined) this.deliver();
    this.#commitHeld();
  }

  /** Go on with a recorded call that has no result. */
  goOnWith(call, recorded) {
    if (!this.takesMore) return;
    if (recorded.memo) this.#remember(call);
    else {
      this.open.add(call);
      call.kind.resume(call, recorded);
    }
  }

  /** Whether calls are taken: not when the body has ended. */
  get takesMore() {
    return this.ending === null;
  }

  /** End as the body has ended, if all that is recorded was asked for. */
  allAsked() {
    if (this.unasked !== undefined) return;
    // Their values were given out, and a replay gives the same; what else is held was never begun.
    for (const call of this.held) if (call.kind.noted !== undefined) this.#commit(call);
    this.end(this.ending);
  }

  /** Hand out the messages that have come, in their order, once all that is recorded was asked for. */
  deliver() {
    if (this.stopped || this.unasked !== undefined) return;
    for (const call of this.mailbox.inOrder(this.open)) call.kind.deliver(call);
  }

  /** Tell the reconciler that there is something for it to do. */
  announce() {
    if (this.#announcing) return;
    this.#announcing = true;
    this.port.later(() => {
      this.#announcing = false;
      this.port.changed();
    });
  }

  /** Let no effect begin before the journal is durable up to `position`. */
  effectsNeed(position) {
    this.effects = Math.max(this.effects, position);
  }

  #caughtUp() {
    return this.released >= this.#recorded && this.unasked === undefined;
  }

  #commitHeld() {
    while (this.held.length > 0 && !this.stopped && this.takesMore && this.#caughtUp()) this.#commit(this.held.shift());
  }

  #commit(call) {
    const { journal } = this.port;
    const problem = this.limits.problem(this.#calls.size, journal.length);
    if (problem !== undefined) {
      this.#refuse(problem);
      return;
    }
    const { kind, key } = call;
    const memo = this.past.memo.get(key);
    const known = memo?.kind === kind.name;
    if (kind.effect && !known && this.effects > journal.synced) journal.syncNow();
    const fields = known ? { memo: true, ...kind.kept?.(call) } : kind.fields(call);
    const position = journal.append("requested", { key, kind: kind.name, after: this.released, ...fields });
    if (call.repeats) this.#warnOfRepeat(key);
    if (this.stopped) return;
    if (kind.noted !== undefined) kind.noted(call, position);
    else if (known) this.#remember(call);
    else {
      this.open.add(call);
      kind.start(call);
    }
  }

  #warnOfRepeat(key) {
    const message = `the name of ${shown(key)} was used before, while other calls were open and outside of what a result had woken: in a replay it may belong to another branch; use names of their own`;
    this.limits.warn("repeated-name", message, key);
  }

  #remember({ key }) {
    this.port.journal.append("completed", { key, memo: true });
    this.line({ type: "completed", key, memo: true, position: this.found });
  }

  /** Record the result of `call`, to be released when its turn comes. `text` is its value as JSON. */
  settle(call, type, fields, text) {
    call.closed = true;
    this.open.delete(call);
    const { key, kind } = call;
    const end = this.port.journal.append(type, { key, ...fields }, text === undefined ? "" : `,"value":${text}`);
    const value = text === undefined ? undefined : parse(text);
    this.line({ type, key, value, error: fields?.error, position: kind.durable ? end : 0 });
  }

  /** Say whether result `number` may be given to the code: what was asked for before it, and the call itself, have to be asked for again. */
  isDue(key, number) {
    const { unasked } = this;
    return this.#calls.has(key) && (unasked === undefined || unasked.after >= number);
  }

  /** Give a result to the code. */
  hand({ type, key, memo, value = null, error }) {
    const call = this.#calls.get(key);
    this.#calls.forget(key);
    if (type === "completed") call.resolve(memo ? (this.past.memo.get(key).value ?? null) : value);
    else {
      // The failure is in the journal: code that never looks at this promise must not be told of it again.
      call.promise.catch(ignore);
      call.reject(rebuildError(error));
    }
    this.#commitHeld();
  }


  /** Whether something can only go on when the code asks for what is recorded. */
  get blocked() {
    return this.held.length > 0 || this.waiting;
  }

  #bodyOver(outcome) {
    this.bodyEnded = true;
    if (this.stopped) return;
    this.ending = outcome;
    this.allAsked();
    this.wake();
  }

  /** The first recorded request that the code has not made. */
  get unasked() {
    return this.past.requests[this.#unasked];
  }

  #refuse(error) {
    this.end({ kind: "refused", error });
  }

  /** Stop: no result is released and nothing starts from here on. The first to call this says why. */
  end(outcome) {
    if (this.stopped) return;
    this.stopped = true;
    this.#end(outcome);
  }

  /** Let the bodies of steps end that are running, for `grace` ms at most. With `reason` they are told to abort. */
  drain(grace, reason) {
    this.aborting = reason !== null;
    const error = reason === null ? null : new AbortError(reason);
    for (const call of [...this.open]) call.kind.halt(call, error);
    return this.bodiesOver(grace);
  }

  /** Whether the code has given every function that clean-up may need. */
  get knowsAll() {
    if (this.unasked !== undefined) return false;
    if (this.bodyEnded) return true;
    for (const [key, { kind, compensate }] of this.past.memo) if ((compensate || kind === "on-cancel") && !this.#calls.has(key)) return false;
    return true;
  }

  /** Say whether the code has given a function that clean-up may need. */
  needsCleanUp(canceled) {
    return this.undo.size > 0 || (canceled && this.onCancel !== null);
  }

  /** Record nothing more, whatever still runs. Returns the keys of the steps that have not ended. */
  close() {
    const left = [];
    for (const call of this.open) {
      call.closed = true;
      call.kind.halt(call, null);
      if (call.kind.abandons) left.push(call.key);
    }
    return left;
  }
}

/** Return how a body ended that returned `value`: as it is now, whatever other branches make of it later. */
function outcomeOf(value) {
  try {
    return { kind: "returned", text: toJson(value) };
  } catch (error) {
    return { kind: "returned", error };
  }
}
