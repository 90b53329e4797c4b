import { tools } from "./tools.mjs";
export async function workflow(input, calls) {
  const { step, sleep, sleepUntil, waitForSignal, sendSignal, runWorkflow, now, random, uuid, patched, onCancel, run, NonRetryableError } = calls;
  const { gate, outside, effect, crash, fail } = tools(run.id);
  const order = [];
  const branch = (name) => step(name, async () => { await gate(name); return name; }).then((value) => order.push(value));
  await Promise.all([branch("a"), branch("b"), branch("c")]);
  crash();
  return order;

}
