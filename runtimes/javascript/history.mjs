// What a journal tells the engine: who holds the run, and what the present attempt of the body has asked for and got.

const parseInstant = Date.parse;

/** A journal holds records that no worker can have written in that order. */
export class GapError extends Error {}

/** The records of a journal, taken in one by one. */
export class History {
  order = null;
  claim = 0;
  worker = "";
  accepted = 0;
  finished = null;
  canceling = null;
  #seq = 0;
  #tries;

  constructor() {
    this.#begin(1, 0);
    this.memo = new Map();
  }

  /** Take in the next record of the journal. Throws GapError where records are missing. */
  accept(record) {
    if (this.finished !== null) return;
    if (this.order === null) this.#first(record);
    else if (record.type === "claim" && !this.#takes(record)) return;
    else if (record.claim < this.claim) return;
    this.#seq += 1;
    if (record.claim !== this.claim || record.seq !== this.#seq) {
      throw new GapError(`record ${record.seq} of claim ${record.claim} follows record ${this.#seq - 1} of claim ${this.claim}`);
    }
    this.accepted += 1;
    FOLDS[record.type]?.(this, record);
  }

  #first(record) {
    if (record.type !== "order") throw new GapError("the first record is no order");
    this.order = record;
    for (const { key, kind, value } of record.memo ?? []) this.memo.set(key, { kind, value });
  }

  #takes(record) {
    if (record.claim <= this.claim) return false;
    if (record.after > this.accepted) throw new GapError(`records are gone before claim ${record.claim}`);
    this.claim = record.claim;
    this.worker = record.worker;
    this.#seq = 0;
    return true;
  }

  #begin(attempt, retryAt) {
    this.attempt = attempt;
    this.retryAt = retryAt;
    this.requests = [];
    this.byKey = new Map();
    this.results = [];
    this.settled = new Set();
    this.#tries = new Map();
  }

  /** Return how far the tries of a recorded step have come. */
  triesOf(key) {
    let tries = this.#tries.get(key);
    if (tries === undefined) {
      tries = { last: 1, failures: 0, inDoubt: false, over: false, retryAt: 0 };
      this.#tries.set(key, tries);
    }
    return tries;
  }

  /** A further attempt of the body: completed steps become the memo, everything else is forgotten. */
  restart(record) {
    for (const result of this.results) {
      const { kind } = this.byKey.get(result.key) ?? {};
      if (result.type === "completed" && !result.memo && kind === "step") this.memo.set(result.key, { kind, value: result.value });
    }
    this.#begin(record.attempt + 1, parseInstant(record.retry_at));
  }
}

const FOLDS = {
  requested(history, record) {
    history.requests.push(record);
    history.byKey.set(record.key, record);
  },
  started(history, record) {
    const tries = history.triesOf(record.key);
    if (!tries.over) tries.inDoubt = true;
    tries.last = record.try;
    tries.over = false;
  },
  retrying(history, record) {
    const tries = history.triesOf(record.key);
    tries.failures += 1;
    tries.over = true;
    tries.retryAt = parseInstant(record.retry_at);
  },
  completed: settle,
  failed: settle,
  // The body ended without its result once, and so it does in every replay.
  abandoned: (history, record) => history.settled.add(record.key),
  "body.failed": (history, record) => history.restart(record),
  canceling: (history, record) => (history.canceling = record),
  finished: (history, record) => (history.finished = record),
};

function settle(history, record) {
  history.results.push(record);
  history.settled.add(record.key);
}
