// What a journal tells the engine: who holds the run, and what the present attempt of the body has asked for and got.

const parseInstant = Date.parse;
const REMEMBERED = new Set(["step", "sleep", "signal", "send", "child"]);

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
  /** The record that says how the run ends once clean-up is over. */
  ending = null;
  /** When the first claim began, in ms since 1970; NaN if there was none. */
  firstClaimAt = NaN;
  /** Numbers of messages that can have no further effect. */
  spent = new Set();
  /** Keys of warnings that were given, as `code key`. */
  warned = new Set();
  /** Clean-up functions that were started, by key, with their results. */
  cleanUps = new Map();
  /** Results by key and kind that another attempt or incarnation has got: `{kind, value, compensate}`. */
  memo = new Map();
  #boot;
  #ended = true;
  #seq = 0;
  #tries;
  #running = new Set();

  constructor() {
    this.#begin(1, 0);
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
    if (record.inbox !== undefined) this.#spend(record);
    FOLDS[record.type]?.(this, record);
  }

  #first(record) {
    if (record.type !== "order") throw new GapError("the first record is no order");
    this.order = record;
    for (const { key, kind, value } of record.memo ?? []) this.memo.set(key, { kind, value, compensate: kind === "step" });
  }

  #takes(record) {
    if (record.claim <= this.claim) return false;
    if (record.after > this.accepted) throw new GapError(`records are gone before claim ${record.claim}`);
    if (Number.isNaN(this.firstClaimAt)) this.firstClaimAt = parseInstant(record.at);
    this.#cutOff(!this.#ended && record.before === undefined && record.boot === this.#boot);
    this.claim = record.claim;
    this.worker = record.worker;
    this.#boot = record.boot;
    this.#ended = false;
    this.#seq = 0;
    this.floor = this.results.length;
    return true;
  }

  /** The tries in flight end with their claim; they are failures if their worker died. */
  #cutOff(died) {
    for (const key of this.#running) {
      const tries = this.triesOf(key);
      tries.state = "cut";
      tries.inDoubt = true;
      tries.died = died;
      if (died) tries.failures += 1;
    }
    this.#running.clear();
  }

  // In these two records the number is how far the inbox was read.
  #spend({ type, inbox }) {
    if (type !== "parked" && type !== "released") this.spent.add(inbox);
  }

  #begin(attempt, retryAt) {
    this.attempt = attempt;
    this.retryAt = retryAt;
    this.requests = [];
    /** How many results were recorded before the claim that wrote a request, by its place. */
    this.floors = [];
    this.floor = 0;
    this.byKey = new Map();
    this.results = [];
    this.settled = new Set();
    this.markers = new Set();
    this.#tries = new Map();
  }

  /** Return how far the tries of a recorded step have come. `state` is `running`, `pausing` or `cut`. */
  triesOf(key) {
    let tries = this.#tries.get(key);
    if (tries === undefined) {
      tries = { last: 1, failures: 0, inDoubt: false, state: "running", died: false, retryAt: 0, asked: 0 };
      this.#tries.set(key, tries);
    }
    return tries;
  }

  /** Say whether anything that is recorded may have to be undone, or was given for a cancel. */
  mayNeedCleanUp(canceled) {
    const undoable = ({ type, key }) => type === "completed" && (this.byKey.get(key)?.compensate || this.memo.get(key)?.compensate);
    const given = (kind) => canceled && kind === "on-cancel";
    if (this.results.some(undoable) || this.requests.some(({ kind }) => given(kind))) return true;
    for (const { kind, compensate } of this.memo.values()) if (compensate || given(kind)) return true;
    return false;
  }

  /** A further attempt of the body: what was completed becomes the memo, everything else is forgotten. */
  restart(record) {
    for (const { key, kind, memo, value } of this.requests) {
      if (!memo && (kind === "now" || kind === "on-cancel")) this.memo.set(key, { kind, value });
    }
    for (const { type, key, memo, expired, value = null } of this.results) {
      const { kind, compensate } = this.byKey.get(key) ?? {};
      if (type === "completed" && !memo && !expired && REMEMBERED.has(kind)) this.memo.set(key, { kind, value, compensate });
    }
    this.#begin(record.attempt + 1, parseInstant(record.retry_at));
  }

  /** A try begins. */
  start(key) {
    this.#running.add(key);
  }

  /** A try ends. */
  stop(key) {
    this.#running.delete(key);
  }

  /** The claim ends, with its worker alive. */
  letGo() {
    this.#ended = true;
  }
}

const FOLDS = {
  requested(history, record) {
    if (record.try !== undefined) history.start(record.key);
    if (record.kind === "clean-up") {
      history.cleanUps.set(record.key, null);
      return;
    }
    history.requests.push(record);
    history.floors.push(history.floor);
    history.byKey.set(record.key, record);
  },
  started(history, record) {
    const tries = history.triesOf(record.key);
    tries.last = record.try;
    tries.state = "running";
    history.start(record.key);
  },
  retrying(history, record) {
    const tries = history.triesOf(record.key);
    tries.failures += 1;
    tries.state = "pausing";
    tries.retryAt = parseInstant(record.retry_at);
    history.stop(record.key);
  },
  asked: (history, record) => (history.triesOf(record.key).asked = record.try),
  completed: settle,
  failed: settle,
  // The body ended without its result once, and so it does in every replay.
  abandoned(history, record) {
    history.settled.add(record.key);
    history.stop(record.key);
  },
  marker: (history, record) => history.markers.add(record.id),
  warning: (history, record) => history.warned.add(`${record.code} ${record.key}`),
  "body.failed": (history, record) => history.restart(record),
  canceling: (history, record) => (history.canceling = record),
  ending: (history, record) => (history.ending = record),
  parked: (history) => history.letGo(),
  released: (history) => history.letGo(),
  finished: (history, record) => (history.finished = record),
};

function settle(history, record) {
  history.stop(record.key);
  if (history.cleanUps.has(record.key)) {
    history.cleanUps.set(record.key, record);
    return;
  }
  history.results.push(record);
  history.settled.add(record.key);
}
