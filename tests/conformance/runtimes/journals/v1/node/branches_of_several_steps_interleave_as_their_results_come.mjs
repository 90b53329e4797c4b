import { tools } from "./tools.mjs";
export async function workflow(input, calls) {
  const { step, sleep, sleepUntil, waitForSignal, sendSignal, runWorkflow, now, random, uuid, patched, onCancel, run, NonRetryableError } = calls;
  const { gate, outside, effect, crash, fail } = tools(run.id);
  const branch = async (name) => { await step(`${name}1`, () => gate(`${name}1`)); await step(`${name}2`, () => gate(`${name}2`)); return name; };
  return await Promise.all([branch("a"), branch("b")]);

}
