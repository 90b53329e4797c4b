import { tools } from "./tools.mjs";
export async function workflow(input, calls) {
  const { step, sleep, sleepUntil, waitForSignal, sendSignal, runWorkflow, now, random, uuid, patched, onCancel, run, NonRetryableError } = calls;
  const { gate, outside, effect, crash, fail } = tools(run.id);
  const done = step("done", async () => { effect("done"); await gate("done"); return 1; });
  const dying = step("dying", async ({ attempt }) => { effect(`dying ${attempt}`); if (attempt === 1) { await gate("die"); crash(); } return attempt; });
  return await Promise.all([done, dying]);

}
