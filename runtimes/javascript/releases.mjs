// Results on their way to the code: one at a time, in journal order, live and in replay alike, each when it is durable and the code is quiet.

const ignore = () => undefined;

/** What is released to the code of one attempt. A subclass has `isDue(key, number)` and `hand(record)`, which gives a result to the code. */
export class Releases {
  /** How many results were released to the code. */
  released = 0;
  /** How many bodies of steps are running. */
  bodies = 0;
  /** Grows with everything that happens. */
  activity = 0;
  /** Set once no result is released and nothing is started any more. */
  stopped = false;
  /** Whether what runs now was woken by a result, or is the beginning of the body. */
  woken = true;
  /** Up to where the journal reaches that others have written: it survives a killed process, but not a power cut, and is synced before it counts. */
  found;
  #results;
  #turning = false;
  #syncing = false;
  #drained = ignore;

  /** `port` is what surrounds the run, `results` what is recorded; `quiet` looks when nothing can be released, and is told when a wait is over. */
  constructor(port, results) {
    this.port = port;
    this.quiet = { look: ignore, over: ignore };
    this.found = port.journal.size;
    this.#results = results.slice();
  }

  /** Start the body by `action`: what it does counts as woken. */
  begin(action) {
    this.port.later(action);
    this.port.later(this.#sleep);
  }

  /** Take a result into the line, which is durable when the journal is so up to its `position`. */
  line(result) {
    this.#results.push(result);
    this.wake();
  }

  /** Whether there are results that were not released. */
  get waiting() {
    return this.released < this.#results.length;
  }

  /** Look, in the next turn of the event loop, whether a result can be released. */
  wake() {
    this.activity += 1;
    if (this.#turning || this.stopped) return;
    this.#turning = true;
    this.port.later(this.#turn);
    this.port.later(this.#sleep);
  }

  // In the same phase of the event loop as the turn, so that nothing but what the turn has woken comes between.
  #sleep = () => (this.woken = false);

  #turn = () => {
    this.#turning = false;
    if (this.stopped) return;
    const next = this.#results[this.released];
    if (next === undefined || !this.isDue(next.key, this.released + 1)) this.quiet.look();
    else if (this.#isDurable(next.position ?? this.found)) this.#release(next);
  };

  #isDurable(position) {
    const { journal } = this.port;
    if (position <= journal.synced) return true;
    if (this.alone()) {
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
    // Values can be large.
    this.#results[this.released] = null;
    this.released += 1;
    this.woken = true;
    this.hand(record);
    this.wake();
  }

  /** Say that a wait is over. */
  goOn() {
    this.quiet.over();
  }

  /** Make everything durable that was written so far; settled when it is. */
  async durable() {
    if (this.alone()) this.port.journal.syncNow();
    else await this.port.journal.sync();
  }

  /** Say that the body of a step has ended. */
  stepOver() {
    this.bodies -= 1;
    if (this.bodies === 0) this.#drained();
    // A pause before the next try is a wait, for which the run may park.
    this.wake();
  }

  /** Wait until no body of a step runs, for `grace` ms at most. */
  async bodiesOver(grace) {
    if (this.bodies === 0) return;
    await new Promise((resolve) => {
      const cancel = this.port.after(grace, resolve);
      this.#drained = () => {
        cancel();
        resolve();
      };
    });
  }

  /** Say whether nothing else in the process has to wait for a sync. */
  alone() {
    return this.bodies === 0 && this.port.alone();
  }
}
