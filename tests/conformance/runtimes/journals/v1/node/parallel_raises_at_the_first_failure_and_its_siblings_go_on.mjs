import { tools } from "./tools.mjs";
export async function workflow(input, calls) {
  const { step, sleep, sleepUntil, waitForSignal, sendSignal, runWorkflow, now, random, uuid, patched, onCancel, run, NonRetryableError } = calls;
  const { gate, outside, effect, crash, fail } = tools(run.id);
  const slow = step("slow", async () => { effect("slow"); await gate("slow"); });
  const bad = step("bad", async () => { await gate("bad"); fail("No", "bad"); }, { retry: { maxAttempts: 1 } });
  let caught;
  try { await Promise.all([slow, bad]); } catch (error) { caught = error.message; }
  await step("after", async () => { await gate("after"); });
  return caught;

}
