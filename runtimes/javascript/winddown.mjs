// The replay of a run that is over, to find the functions that clean it up: nothing new is asked for, and nothing starts.

import { Attempt } from "./engine.mjs";
import { GRACE_MS, SETTLED_MS, difference, whenQuiet } from "./quiet.mjs";

/** An attempt of the body that ends when nothing more can be released. */
export class WindDown extends Attempt {
  constructor(...given) {
    super(...given);
    let cancel = () => undefined;
    this.quiet.look = () => {
      cancel();
      cancel = whenQuiet(this, SETTLED_MS, GRACE_MS, () => this.end(this.unasked === undefined ? { kind: "wound" } : { kind: "refused", error: difference(this) }));
    };
  }

  /** What is in the memo may be asked for; else code is left waiting. */
  ask(call) {
    if (this.past.memo.get(call.key)?.kind === call.kind.name) super.ask(call);
  }

  /** What has no result gets none. */
  goOnWith(call, recorded) {
    if (recorded.memo) super.goOnWith(call, recorded);
  }

  get takesMore() {
    return true;
  }

  /** The body may end before its branches have asked for all that is recorded. */
  allAsked() {}

  deliver() {}

  leaveMark() {}
}
