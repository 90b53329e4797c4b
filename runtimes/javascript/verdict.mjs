// Carries a journal out against other code, strictly and without a trace, to say whether the code still fits. Imported only for that.

import fs from "node:fs";
import { isDeepStrictEqual } from "node:util";

import { createApi, kindsFor } from "./api.mjs";
import { after, at, elapsed, foreign, later, now, stamp } from "./clock.mjs";
import { shown } from "./durations.mjs";
import { Attempt } from "./engine.mjs";
import { recordError } from "./errors.mjs";
import { Journal } from "./journal.mjs";
import { Mailbox } from "./orders.mjs";
import { Output, createScope } from "./output.mjs";
import { Limits, completeSettings } from "./policy.mjs";
import { GRACE_MS, SETTLED_MS, whenQuiet } from "./quiet.mjs";

const { parse, stringify } = JSON;
const { renameSync, writeFileSync } = fs;
const ignore = () => undefined;
const UNWRITTEN = { append: () => 0, size: 0, synced: Infinity, length: 0, full: false, syncNow: ignore, sync: async () => undefined };
const NOT_OF_THE_BODY = new Set(["NonDeterminismError", "LoadError", "LimitError"]);

/** Write `verdict.json` to `folder`: whether the workflow function that `load()` gives fits the journal of the run with that prefix. */
export async function writeVerdict({ prefix, folder, load }) {
  const history = new Journal(`${prefix}journal.jsonl`, {}).read();
  const verdict = await load().then(
    (workflow) => rehearse(history, workflow, prefix),
    (error) => verdictOf({ asked: 0, recorded: history.requests.length, difference: error.message }),
  );
  writeFileSync(`${folder}/verdict.json.new`, `${stringify(verdict)}\n`);
  renameSync(`${folder}/verdict.json.new`, `${folder}/verdict.json`);
}

function verdictOf({ asked, recorded, difference, next = null, end = null }) {
  return { fits: difference === null, asked, recorded, difference, next, end };
}

async function rehearse(history, workflow, prefix) {
  const { order, finished, requests } = history;
  const settings = completeSettings(order.settings);
  const port = { journal: UNWRITTEN, now, stamp, at, after, later, elapsed, foreign, scope: createScope(new Output("", 1)), alone: () => true, changed: ignore };
  const attempt = new Rehearsal(port, history, { limits: new Limits(settings.limits, ignore), mailbox: new Mailbox(history.spent) });
  attempt.patience = settings.step.timeout_ms || Infinity;
  const api = createApi(attempt, order, { stepDefaults: settings.step, folder: () => `${prefix}files`, kinds: await kindsFor(workflow) });
  await attempt.run(() => workflow(parse(stringify(order.input ?? null)), api));
  const { matched: asked, next, ending } = attempt;
  const difference = attempt.difference ?? missing(requests[asked]) ?? differenceOfEnds(finished, ending);
  return verdictOf({ asked, recorded: requests.length, difference, next, end: ending?.kind ?? null });
}

/** An attempt of the body that must ask for what is recorded in that order, starts nothing, and ends where the records end. */
class Rehearsal extends Attempt {
  matched = 0;
  difference = null;
  next = null;
  patience = Infinity;
  #cancel = ignore;

  constructor(...given) {
    super(...given);
    this.quiet.look = () => this.#look();
  }

  #look() {
    this.#cancel();
    const complete = this.unasked === undefined && !this.blocked;
    const [ms, patience] = complete ? [SETTLED_MS, GRACE_MS] : [GRACE_MS, this.patience];
    this.#cancel = whenQuiet(this, ms, patience, () => this.end({ kind: "quiet" }));
  }

  match(call, recorded) {
    if (this.stopped) return;
    const expected = this.past.requests[this.matched];
    const { kind, key } = call;
    if (expected === undefined) this.next ??= { kind: kind.name, key };
    else if (expected.kind !== kind.name || expected.key !== key) this.#differ(`${held(expected)} here, the code asked for ${kind.name} ${shown(key)}`);
    else if (!this.#isTimely(expected)) this.#differ(`${held(expected)} after ${expected.after} results, the code asked for it after ${this.released}`);
    else {
      this.matched += 1;
      super.match(call, recorded);
    }
    this.wake();
  }

  /** A request that was held until all that was recorded by then was released may have been made earlier. */
  #isTimely({ after: recorded }) {
    return recorded === this.released || (recorded > this.released && recorded === this.past.floors[this.matched]);
  }

  #differ(difference) {
    this.difference = difference;
    this.end({ kind: "quiet" });
  }

  goOnWith() {}

  allAsked() {}

  deliver() {}

  leaveMark() {}
}

function held({ kind, key }) {
  return `the journal holds ${kind} ${shown(key)}`;
}

function missing(request) {
  return request === undefined ? null : `${held(request)} here, the code did not ask for it`;
}

function differenceOfEnds(finished, ending) {
  if (finished === null || finished.status === "canceled" || finished.reason !== undefined) return null;
  if (ending === null) return NOT_OF_THE_BODY.has(finished.error?.name) ? null : "the run has ended, the code has not";
  const { thrown, value } = endOf(ending);
  if (finished.status === "failed") return thrown === undefined ? "the run failed, the code returns" : null;
  if (thrown !== undefined) return `the run completed, the code throws ${thrown.name}: ${thrown.message}`;
  return isDeepStrictEqual(value, finished.output ?? null) ? null : "the code returns another output than the recorded one";
}

function endOf({ kind, text, error }) {
  if (kind === "threw" || error !== undefined) return { thrown: recordError(error) };
  return { value: parse(text) };
}
