import { tools } from "./tools.mjs";
export async function workflow(input, calls) {
  const { step, sleep, sleepUntil, waitForSignal, sendSignal, runWorkflow, now, random, uuid, patched, onCancel, run, NonRetryableError } = calls;
  const { gate, outside, effect, crash, fail } = tools(run.id);
  return await step("long", async ({ heartbeat }) => { heartbeat({ done: 1 }); heartbeat({ done: 2 }); await gate("long"); return "done"; });

}
