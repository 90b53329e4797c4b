import { tools } from "./tools.mjs";
export async function workflow(input, calls) {
  const { step, sleep, sleepUntil, waitForSignal, sendSignal, runWorkflow, now, random, uuid, patched, onCancel, run, NonRetryableError } = calls;
  const { gate, outside, effect, crash, fail } = tools(run.id);
  const values = [random(), random(), random("dice"), uuid(), uuid("order"), uuid("order")];
  await step("mark", () => values);
  crash();
  return values;

}
