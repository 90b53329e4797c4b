import { tools } from "./tools.mjs";
export async function workflow(input, calls) {
  const { step, sleep, sleepUntil, waitForSignal, sendSignal, runWorkflow, now, random, uuid, patched, onCancel, run, NonRetryableError } = calls;
  const { gate, outside, effect, crash, fail } = tools(run.id);
  const a = await step("a", () => effect("a"));
  const data = await waitForSignal("go");
  await sleep("nap", "1h");
  const child = await runWorkflow("w", 1);
  const b = await step("b", () => "fresh");
  return [a, data, child, b];

}
