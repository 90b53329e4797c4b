// Child runs: asked for by a request, started by the reconciler, their results brought by messages.

import { checkName } from "./calls.mjs";
import { shown } from "./durations.mjs";
import { ChildError, TimeoutError, rebuildError, recordError } from "./errors.mjs";
import { members, oneOf, timeoutOption } from "./policy.mjs";
import { toJson } from "./values.mjs";
import { Waits } from "./waits.mjs";

const { parse, stringify } = JSON;

/** The kind of call that `runWorkflow` makes. */
export class Children extends Waits {
  name = "child";
  signature = "runWorkflow(workflow, input, options)";
  named = "workflow";
  effect = true;

  /** Check the arguments of a call. */
  details(name, workflow, input, options = {}) {
    const { timeout, onCancel = "cancel" } = members(options, ["name", "timeout", "onCancel"], `${this.signature}: options`);
    oneOf(onCancel, ["cancel", "finish"], `${this.signature}: options.onCancel`);
    checkName(workflow, `${this.signature}: workflow`);
    const what = () => `the input of child ${shown(name)}`;
    const text = toJson(input);
    this.attempt.limits.check(text, what);
    return { workflow, text, what, timeout: timeoutOption(timeout, this.signature), onCancel };
  }

  /** Return what the request of a new call records. */
  fields(call) {
    const { workflow, text, what, timeout, onCancel } = call.details;
    this.attempt.limits.tell(text, what, call.key);
    return { workflow, input: parse(text), ...this.until(call, timeout), on_cancel: onCancel };
  }

  /** Say where its message comes in. */
  address({ key }) {
    return `child ${key}`;
  }

  /** End with the result of the child, if it has come. */
  deliver(call) {
    const taken = this.attempt.mailbox.take(call.address);
    if (taken === undefined) return;
    const { number: inbox, message } = taken;
    if (message.status === "completed") this.settle(call, "completed", { inbox }, stringify(message.output ?? null));
    else this.settle(call, "failed", { error: failure(call, message), inbox });
  }

  /** The time is over. The child goes on. */
  expire(call) {
    const error = new TimeoutError(`child ${shown(call.key)} did not end within its timeout`);
    this.settle(call, "failed", { error: recordError(error) });
  }
}

function failure({ details: { workflow } }, { run, status, error, reason }) {
  if (status === "refused") return error;
  const why = error?.message ?? reason;
  const cause = error === undefined ? undefined : rebuildError(error);
  const failed = new ChildError(`run ${run} of workflow ${workflow} ${status}${why === undefined ? "" : `: ${why}`}`, { cause });
  return recordError(Object.assign(failed, { run, workflow, status }));
}
