import { tools } from "./tools.mjs";
export async function workflow(input, calls) {
  const { step, sleep, sleepUntil, waitForSignal, sendSignal, runWorkflow, now, random, uuid, patched, onCancel, run, NonRetryableError } = calls;
  const { gate, outside, effect, crash, fail } = tools(run.id);
  const good = step("good", async () => { await gate("good"); effect("good"); return 1; });
  const bad = good.then(() => step("bad", ({ attempt }) => (effect(`bad ${attempt}`), attempt < 2 ? fail("No", "no") : 2)));
  return await Promise.all([good, bad]);

}
