import { tools } from "./tools.mjs";
export async function workflow(input, calls) {
  const { step, sleep, sleepUntil, waitForSignal, sendSignal, runWorkflow, now, random, uuid, patched, onCancel, run, NonRetryableError } = calls;
  const { gate, outside, effect, crash, fail } = tools(run.id);
  const both = await Promise.allSettled([runWorkflow("bad", 1), runWorkflow("good", 2)]);
  return both.map((each) => each.value ?? each.reason.status);

}
