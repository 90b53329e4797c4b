import { tools } from "./tools.mjs";
export async function workflow(input, calls) {
  const { step, sleep, sleepUntil, waitForSignal, sendSignal, runWorkflow, now, random, uuid, patched, onCancel, run, NonRetryableError } = calls;
  const { gate, outside, effect, crash, fail } = tools(run.id);
  return await step("slow", async ({ attempt, signal }) => {
    if (attempt === 2) return "second";
    await new Promise((resolve) => signal.addEventListener("abort", resolve));
    effect("aborted");
  }, { timeout: 1000 });

}
