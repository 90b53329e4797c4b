import { tools } from "./tools.mjs";
export async function workflow(input, calls) {
  const { step, sleep, sleepUntil, waitForSignal, sendSignal, runWorkflow, now, random, uuid, patched, onCancel, run, NonRetryableError } = calls;
  const { gate, outside, effect, crash, fail } = tools(run.id);
  const polite = step("polite", ({ signal }) => new Promise((resolve) => signal.addEventListener("abort", () => resolve("aborted"))));
  const bad = step("bad", async () => { await gate("bad"); fail("No", "bad"); }, { retry: { maxAttempts: 1 } });
  await Promise.all([polite, bad]);

}
