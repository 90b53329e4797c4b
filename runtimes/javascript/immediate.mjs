// Calls that return at once, and the same in every replay: the time, chance, and what to do when the run is canceled.

import { createRequire } from "node:module";

import { checkName } from "./calls.mjs";
import { shown } from "./durations.mjs";

const TWO_TO_53 = 2 ** 53;
let hmac;

/** Return 32 bytes that `seed` and `key` determine. */
function derive(seed, key) {
  // Loaded by the first that needs it: most runs do not.
  hmac ??= createRequire(import.meta.url)("node:crypto").createHmac;
  return hmac("sha256", seed).update(key).digest();
}

/** What these kinds share: `value(call, found)` is what a call returns, `found` what the journal or the memo has of it. */
class Immediate {
  details() {
    return undefined;
  }

  fields() {
    return undefined;
  }

  /** Take note that the request is in the journal, up to `position`. */
  noted() {}
}

/** The kind of call that `now` makes. */
export class Nows extends Immediate {
  name = "now";
  signature = "now()";
  unnamed = "ty/now";
  #attempt;

  constructor(attempt) {
    super();
    this.#attempt = attempt;
  }

  value(call, found) {
    call.value = found?.value ?? this.#attempt.port.now();
    return call.value;
  }

  fields({ value }) {
    return { value };
  }

  kept({ value }) {
    return { value };
  }

  noted(_call, position) {
    this.#attempt.effectsNeed(position);
  }
}

/** The kind of call that `random` makes. */
export class Randoms extends Immediate {
  name = "random";
  signature = "random(name)";
  unnamed = "ty/random";
  #seed;

  constructor(seed) {
    super();
    this.#seed = seed;
  }

  value({ key }) {
    return Number(derive(this.#seed, key).readBigUInt64BE() >> 11n) / TWO_TO_53;
  }
}

/** The kind of call that `uuid` makes. */
export class Uuids extends Immediate {
  name = "uuid";
  signature = "uuid(name)";
  unnamed = "ty/uuid";
  #seed;

  constructor(seed) {
    super();
    this.#seed = seed;
  }

  value({ key }) {
    const bytes = derive(this.#seed, key).subarray(0, 16);
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    return bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
  }
}

/** The kind of call that `onCancel` makes. */
export class OnCancels extends Immediate {
  name = "on-cancel";
  signature = "onCancel(fn)";
  unnamed = "ty/on-cancel";
  #attempt;

  constructor(attempt) {
    super();
    this.#attempt = attempt;
  }

  details(_name, fn) {
    if (typeof fn !== "function") throw new TypeError(`${this.signature}: fn must be a function, got ${shown(fn)}`);
    return { fn };
  }

  value() {
    return undefined;
  }

  noted({ details }) {
    this.#attempt.onCancel = details.fn;
  }
}

/** What `patched` has answered in one attempt of the body. */
export class Patches {
  #attempt;
  #answers = new Map();

  constructor(attempt) {
    this.#attempt = attempt;
  }

  /** Say whether new code may run: its marker is recorded, or nothing is recorded that was not asked for. */
  has(id) {
    checkName(id, "patched(id): id");
    this.#attempt.refuseInStep("patched", id);
    if (!this.#answers.has(id)) this.#answers.set(id, this.#attempt.past.markers.has(id) || this.#mark(id));
    return this.#answers.get(id);
  }

  #mark(id) {
    if (this.#attempt.unasked !== undefined) return false;
    if (!this.#attempt.stopped) this.#attempt.leaveMark(id);
    return true;
  }
}
