import { tools } from "./tools.mjs";
export async function workflow(input, calls) {
  const { step, sleep, sleepUntil, waitForSignal, sendSignal, runWorkflow, now, random, uuid, patched, onCancel, run, NonRetryableError } = calls;
  const { gate, outside, effect, crash, fail } = tools(run.id);
  await step("book", () => "flight", { compensate: (result, { key, attempt }) => effect(`cancel ${result} ${key} ${attempt}`) });
  await step("pay", () => 100, { compensate: (result) => effect(`refund ${result}`) });
  await step("plain", () => 1);
  fail("Broken", "after all");

}
