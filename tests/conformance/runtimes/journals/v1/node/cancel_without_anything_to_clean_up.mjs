import { tools } from "./tools.mjs";
export async function workflow(input, calls) {
  const { step, sleep, sleepUntil, waitForSignal, sendSignal, runWorkflow, now, random, uuid, patched, onCancel, run, NonRetryableError } = calls;
  const { gate, outside, effect, crash, fail } = tools(run.id);
  await step("work", ({ signal }) => new Promise((resolve) => signal.addEventListener("abort", () => resolve("stopped"))));
  await step("never", () => effect("never"));

}
