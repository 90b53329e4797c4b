// The way from the end of a body to the terminal record: what can be cleaned up, and how long that may take.

import { seedOf } from "./api.mjs";
import { CleanUp, toCleanUp } from "./cleanup.mjs";
import { AbortError, recordError } from "./errors.mjs";
import { WindDown } from "./winddown.mjs";

const parseInstant = Date.parse;

/** Cleans up after one run that failed or was canceled. */
export class Closing {
  #port;
  #order;
  #settings;
  #limits;
  #replay;
  #interrupted = null;
  #attempt = null;
  #cleanUp = null;
  #onInterrupt = () => undefined;

  /** `replay(kind)` creates an attempt of that class and starts its body; it returns `{attempt, outcome}`. */
  constructor(port, { order, settings, limits, replay, interrupted }) {
    this.#port = port;
    this.#order = order;
    this.#settings = settings;
    this.#limits = limits;
    this.#replay = replay;
    this.#interrupted = interrupted;
  }

  /** Let another process go on with it, or stop for want of space. */
  interrupt(outcome) {
    this.#interrupted ??= outcome;
    this.#attempt?.end(outcome);
    this.#cleanUp?.stop(outcome.kind === "suspended" ? this.#settings.cancel.grace_ms : 0);
    this.#onInterrupt(outcome);
  }

  /**
   * Clean up after a run that ends as `end` says (`{status, error, reason}`); `attempt` is that which knows the functions, null if the body has
   * to be replayed for them. Returns what has interrupted it, or null.
   */
  async carryOut(end, attempt) {
    const { journal } = this.#port;
    const history = journal.read();
    const cancel = this.#limitTime(history);
    const functions = attempt ?? (await this.#windDown(history));
    if (functions !== null) await this.#run(functions === attempt ? history : journal.read(), functions, end);
    cancel();
    return this.#interrupted;
  }

  #limitTime({ canceling, ending }) {
    const { cleanup_ms: longest } = this.#settings.cancel;
    const began = canceling ?? ending;
    const until = (began === null ? this.#port.now() : parseInstant(began.at)) + longest;
    return this.#port.at(until, () => this.#late(`clean-up did not end within ${longest} ms (cancel.cleanup_ms)`));
  }

  #late(message) {
    this.#limits.warn("clean-up", message, this.#cleanUp?.key);
    this.#attempt?.end({ kind: "late" });
    this.#cleanUp?.stop(0, new AbortError(message));
    this.#onInterrupt({ kind: "late" });
  }

  /** Replay the body to find the functions; null if that cannot be. */
  async #windDown(history) {
    const interrupted = new Promise((resolve) => (this.#onInterrupt = resolve));
    if (this.#interrupted !== null) return null;
    const replayed = this.#replay(WindDown, history).then(
      ({ attempt, outcome }) => {
        this.#attempt = attempt;
        return outcome;
      },
      (error) => ({ kind: "refused", error }),
    );
    const outcome = await Promise.race([replayed, interrupted]);
    if (outcome.kind === "wound") return this.#attempt;
    if (outcome.kind === "refused") this.#limits.warn("clean-up", `the code cannot be replayed, so that nothing is cleaned up: ${recordError(outcome.error).message}`);
    return null;
  }

  async #run(history, functions, end) {
    const { step } = this.#settings;
    const items = toCleanUp(history, functions, { canceled: end.status === "canceled", defaults: step });
    if (items.length === 0 || this.#interrupted !== null) return;
    this.#cleanUp = new CleanUp(this.#port, history, { limits: this.#limits, seed: seedOf(this.#order) });
    if (history.ending === null) {
      this.#port.journal.append("ending", end);
      await this.#cleanUp.durable();
      this.#port.changed();
    }
    await this.#cleanUp.carryOut(items);
  }
}
