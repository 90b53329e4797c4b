// One attempt of the body: calls are matched with the journal, and results are released to the code one at a time,
// in journal order, live and in replay alike. Knows nothing of files, so that another journal can take their place.

import { Call, keyOf, nameProblem } from "./calls.mjs";
import { shown } from "./durations.mjs";
import { AbortError, CallError, LimitError, NonDeterminismError, rebuildError } from "./errors.mjs";

const { parse } = JSON;
const ignore = () => undefined;

/**
 * The rules of replay for one attempt of the body.
 *
 * A kind of call is an object with `name`, `signature`, `durable` (whether a result is synced before it is released), and
 * `details(...)` checks the arguments, `fields(call)` is what its request records, `start(call)`, `resume(call, recorded)`,
 * `halt(call, reason)` and, for what can wait, `wait(call)`.
 */
export class Attempt {
  /** How many results were released to the code. */
  released = 0;
  /** Calls whose result is not recorded. */
  open = new Set();
  /** New calls that wait until all that is recorded was asked for and released. */
  held = [];
  /** How many bodies of steps are running. */
  bodies = 0;
  /** Grows with everything that happens. */
  activity = 0;
  /** Set once no result is released and nothing is started any more. */
  stopped = false;
  /** Set when a try that fails is its step's last, because the body has ended. */
  aborting = false;
  /** How the body ended, while recorded requests may still be asked for. */
  ending = null;
  /** Set once the body has ended, in whatever way. */
  bodyEnded = false;
  #results;
  #recorded;
  #found;
  #calls = new Map();
  #names = new Map();
  #unasked = 0;
  #turning = false;
  #syncing = false;
  #drained = ignore;
  #end;

  /** `port` is what surrounds the run (journal, clock, scope), `past` its history, `quiet` looks when nothing can be released. */
  constructor(port, past, limits) {
    this.port = port;
    this.past = past;
    this.limits = limits;
    this.quiet = { look: ignore, over: ignore };
    this.#results = past.results.slice();
    this.#recorded = past.results.length;
    // What a killed process has written survives it, but not a power cut: it is synced before it counts.
    this.#found = port.journal.size;
    this.outcome = new Promise((resolve) => (this.#end = resolve));
  }

  /** Start the body; the promise tells how it ended, or why it was stopped. */
  run(body) {
    const started = this.port.scope.enter(undefined, () => new Promise((resolve) => resolve(body())));
    started.then(
      (value) => this.#bodyOver({ kind: "returned", value }),
      (error) => this.#bodyOver({ kind: "threw", error }),
    );
    this.wake();
    return this.outcome;
  }

  /** Make a call of `kind` and return the promise of its result. */
  call(kind, name, ...options) {
    if (this.stopped) return new Promise(ignore);
    let call;
    try {
      call = this.#accept(kind, name, options);
    } catch (error) {
      return Promise.reject(error);
    }
    const recorded = this.past.byKey.get(call.key);
    if (recorded === undefined) this.#ask(call);
    else if (recorded.kind === kind.name) this.#again(call, recorded);
    else this.#refuse(new NonDeterminismError(`${kind.name} ${shown(call.key)} was recorded as a ${recorded.kind}: the code has changed since`));
    this.wake();
    return call.promise;
  }

  #accept(kind, name, options) {
    const known = this.#names.get(name);
    const problem = known === undefined ? nameProblem(name) : undefined;
    if (problem !== undefined) throw new TypeError(`${kind.signature}: name ${problem}`);
    const details = kind.details(name, ...options);
    const step = this.port.scope.step();
    if (step !== undefined) throw new CallError(`${kind.name} ${shown(name)} was called inside the body of step ${shown(step)}: call it from the workflow`);
    if (this.#calls.size >= this.limits.calls) throw new LimitError(`more than ${this.limits.calls} calls in one run (limits.calls)`);
    const count = (known ?? 0) + 1;
    this.#names.set(name, count);
    const call = new Call(kind, keyOf(name, count), details);
    this.#calls.set(call.key, call);
    return call;
  }

  #ask(call) {
    if (this.#caughtUp() && this.ending === null) this.#commit(call);
    else this.held.push(call);
  }

  #again(call, recorded) {
    const { requests, settled } = this.past;
    while (this.#unasked < requests.length && this.#calls.has(requests[this.#unasked].key)) this.#unasked += 1;
    if (this.ending !== null) {
      if (this.#unasked >= requests.length) this.end(this.ending);
      return;
    }
    if (!settled.has(call.key)) {
      if (recorded.memo) this.#remember(call);
      else {
        this.open.add(call);
        call.kind.resume(call, recorded);
      }
    }
    this.#commitHeld();
  }

  #caughtUp() {
    return this.released >= this.#recorded && this.#unasked >= this.past.requests.length;
  }

  #commitHeld() {
    while (this.held.length > 0 && !this.stopped && this.#caughtUp()) this.#commit(this.held.shift());
  }

  #commit(call) {
    const { journal } = this.port;
    if (journal.length > this.limits.journal) {
      this.#refuse(new LimitError(`the journal is larger than ${this.limits.journal} bytes (limits.journal)`));
      return;
    }
    const { kind, key } = call;
    const known = this.past.memo.get(key)?.kind === kind.name;
    journal.append("requested", { key, kind: kind.name, after: this.released, ...(known ? { memo: true } : kind.fields(call)) });
    if (this.stopped) return;
    if (known) this.#remember(call);
    else {
      this.open.add(call);
      kind.start(call);
    }
  }

  #remember({ key }) {
    this.port.journal.append("completed", { key, memo: true });
    this.#results.push({ type: "completed", key, memo: true, position: this.#found });
  }

  /** Record the result of `call`, to be released when its turn comes. `text` is its value as JSON. */
  settle(call, type, fields, text) {
    call.closed = true;
    this.open.delete(call);
    const { key, kind } = call;
    const end = this.port.journal.append(type, { key, ...fields }, text === undefined ? "" : `,"value":${text}`);
    const value = text === undefined ? undefined : parse(text);
    this.#results.push({ type, key, value, error: fields?.error, position: kind.durable ? end : 0 });
    this.wake();
  }

  /** Make everything durable that was written so far; settled when it is. */
  async durable() {
    if (this.#alone()) this.port.journal.syncNow();
    else await this.port.journal.sync();
  }

  #alone() {
    return this.bodies === 0 && this.port.alone();
  }

  /** Look, in the next turn of the event loop, whether a result can be released. */
  wake() {
    this.activity += 1;
    if (this.#turning || this.stopped) return;
    this.#turning = true;
    this.port.later(this.#turn);
  }

  #turn = () => {
    this.#turning = false;
    if (this.stopped) return;
    const next = this.#results[this.released];
    if (next === undefined || !this.#isDue(next.key, this.released + 1)) this.quiet.look();
    else if (this.#isDurable(next.position ?? this.#found)) this.#release(next);
  };

  #isDue(key, number) {
    const blocking = this.past.requests[this.#unasked];
    return this.#calls.has(key) && (blocking === undefined || blocking.after >= number);
  }

  #isDurable(position) {
    const { journal } = this.port;
    if (position <= journal.synced) return true;
    if (this.#alone()) {
      journal.syncNow();
      return position <= journal.synced;
    }
    if (!this.#syncing) {
      this.#syncing = true;
      journal.sync().then(() => {
        this.#syncing = false;
        this.wake();
      });
    }
    return false;
  }

  #release(record) {
    this.goOn();
    this.released += 1;
    const call = this.#calls.get(record.key);
    // Only the key is needed from here on; values can be large.
    this.#calls.set(record.key, null);
    this.#results[this.released - 1] = null;
    if (record.type === "completed") call.resolve(record.memo ? this.past.memo.get(record.key).value : record.value);
    else {
      // The failure is in the journal: code that never looks at this promise must not be told of it again.
      call.promise.catch(ignore);
      call.reject(rebuildError(record.error));
    }
    this.#commitHeld();
    this.wake();
  }

  /** Whether something can only go on when the code asks for what is recorded. */
  get blocked() {
    return this.held.length > 0 || this.released < this.#results.length;
  }

  /** Say that a wait is over. */
  goOn() {
    this.quiet.over();
  }

  #bodyOver(outcome) {
    this.bodyEnded = true;
    if (this.stopped) return;
    if (this.#unasked >= this.past.requests.length) this.end(outcome);
    else {
      this.ending = outcome;
      this.wake();
    }
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
  async drain(grace, reason) {
    this.aborting = reason !== null;
    const error = reason === null ? null : new AbortError(reason);
    for (const call of [...this.open]) call.kind.halt(call, error);
    if (this.bodies === 0) return;
    await new Promise((resolve) => {
      const cancel = this.port.after(grace, resolve);
      this.#drained = () => {
        cancel();
        resolve();
      };
    });
  }

  /** Say that the body of a step has ended. */
  stepOver() {
    this.bodies -= 1;
    if (this.bodies === 0) this.#drained();
  }

  /** Record nothing more, whatever still runs. Returns the keys of the steps that have not ended. */
  close() {
    const left = [];
    for (const call of this.open) {
      call.closed = true;
      call.kind.halt(call, null);
      if (call.kind.name === "step") left.push(call.key);
    }
    return left;
  }
}
