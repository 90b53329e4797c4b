// One attempt of the body: calls are matched with the journal, and results are released to the code one at a time,
// in journal order, live and in replay alike. Knows nothing of files, so that another journal can take their place.

import { LimitError, NonDeterminismError, rebuildError } from "./errors.mjs";
import { exceeds } from "./values.mjs";
import { shown } from "./durations.mjs";

// eslint-disable-next-line no-control-regex -- names are refused for exactly these
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;
const OCCURRENCE = /#\d+$/;
const LONGEST_NAME = 200;

/** One call that the code made. */
class Call {
  /** The earliest instant at which something happens by itself; undefined while something runs. */
  due = undefined;
  closed = false;

  constructor(kind, key, details) {
    this.kind = kind;
    this.key = key;
    this.details = details;
    this.promise = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
  }
}

/** The rules of replay for one attempt of the body. */
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
  /** Set while the body has ended but recorded requests may still be asked for. */
  ending = null;
  #calls = new Map();
  #names = new Map();
  #unasked = 0;
  #turning = false;
  #syncing = false;
  #wanted = 0;
  #end;

  /** `port` is what surrounds the run: journal, clock, scope; `past` its history; `onQuiet()` is called when nothing can be released. */
  constructor(port, past, { limits, onQuiet }) {
    this.port = port;
    this.past = past;
    this.limits = limits;
    this.onQuiet = onQuiet;
    this.results = past.results.map((record) => ({ record, position: 0 }));
    this.recorded = this.results.length;
    this.outcome = new Promise((resolve) => (this.#end = resolve));
  }

  /** Make a call of `kind` and return the promise of its result. */
  call(kind, name, details) {
    if (this.stopped) return never();
    const problem = this.#refusal(kind, name);
    if (problem !== undefined) return Promise.reject(problem);
    const call = new Call(kind, this.#keyOf(name), details);
    this.#calls.set(call.key, call);
    const recorded = this.past.byKey.get(call.key);
    if (recorded === undefined) this.#ask(call);
    else if (recorded.kind !== kind.name) this.#diverge(`${kind.name} ${shown(call.key)} was recorded as a ${recorded.kind}: the code has changed`);
    else this.#again(call, recorded);
    this.wake();
    return call.promise;
  }

  #refusal(kind, name) {
    const problem = nameProblem(name);
    if (problem !== undefined) return new TypeError(`${kind.signature}: name ${problem}`);
    const step = this.port.scope.step();
    if (step !== undefined) return new TypeError(`${kind.name} ${shown(name)} was called inside the body of step ${shown(step)}: call it from the workflow`);
    if (this.#calls.size >= this.limits.calls) return new LimitError(`more than ${this.limits.calls} calls in one run (limits.calls)`);
    return undefined;
  }

  #keyOf(name) {
    const count = (this.#names.get(name) ?? 0) + 1;
    this.#names.set(name, count);
    return count === 1 ? name : `${name}#${count}`;
  }

  #again(call, recorded) {
    const { requests, settled } = this.past;
    while (this.#unasked < requests.length && this.#calls.has(requests[this.#unasked].key)) this.#unasked += 1;
    if (this.ending === null && !settled.has(call.key)) {
      if (recorded.memo) this.#remember(call);
      else {
        this.open.add(call);
        call.kind.resume(call, recorded);
      }
    }
    this.#commitHeld();
  }

  #ask(call) {
    if (this.#caughtUp() && this.ending === null) this.#commit(call);
    else this.held.push(call);
  }

  #caughtUp() {
    return this.released >= this.recorded && this.#unasked >= this.past.requests.length;
  }

  #commitHeld() {
    while (this.held.length > 0 && this.#caughtUp() && !this.stopped && this.ending === null) this.#commit(this.held.shift());
  }

  #commit(call) {
    if (this.port.journal.length > this.limits.journal) {
      this.end({ kind: "refused", error: new LimitError(`the journal is larger than ${this.limits.journal} bytes (limits.journal)`) });
      return;
    }
    const { kind, key } = call;
    const memo = this.past.memo.get(key);
    const known = memo !== undefined && memo.kind === kind.name;
    const fields = known ? { memo: true } : kind.fields(call);
    this.port.journal.append("requested", { key, kind: kind.name, after: this.released, ...fields });
    if (this.stopped) return;
    if (known) this.#remember(call);
    else {
      this.open.add(call);
      kind.start(call);
    }
  }

  #remember(call) {
    this.port.journal.append("completed", { key: call.key, memo: true });
    this.results.push({ record: { type: "completed", key: call.key, memo: true }, position: 0 });
  }

  /** Record the result of `call`, to be released when its turn comes. `raw` is its value as JSON text. */
  settle(call, type, fields, raw = "") {
    if (call.closed) return;
    call.closed = true;
    call.due = undefined;
    this.open.delete(call);
    const position = this.port.journal.append(type, { key: call.key, ...fields }, raw === "" ? "" : `,"value":${raw}`);
    this.results.push({ record: { type, key: call.key, value: raw === "" ? undefined : JSON.parse(raw), ...fields }, position: call.kind.durable ? position : 0 });
    this.wake();
  }

  /** Have everything that was written so far synced soon; the result is settled when it is. */
  durable() {
    const { journal } = this.port;
    this.#wanted = journal.size;
    this.wake();
    if (!this.port.alone()) return journal.sync();
    journal.syncNow();
    return Promise.resolve();
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
    const next = this.results[this.released];
    if (next === undefined || this.ending !== null || !this.#isDue(this.released + 1)) this.onQuiet();
    else if (this.#isDurable(next.position)) this.#release(next.record);
  };

  #isDue(number) {
    const blocking = this.past.requests[this.#unasked];
    return blocking === undefined || blocking.after >= number;
  }

  #isDurable(position) {
    const { journal } = this.port;
    if (position <= journal.synced) return true;
    if (this.port.alone() && this.bodies === 0) {
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
    this.released += 1;
    const call = this.#calls.get(record.key);
    if (record.type === "completed") call.resolve(record.memo ? this.past.memo.get(record.key).value : record.value);
    else {
      // The failure is in the journal; code that never looks at this promise has chosen so.
      call.promise.catch(ignore);
      call.reject(rebuildError(record.error));
    }
    this.#commitHeld();
    this.wake();
  }
}
