// Code in OpenWorkflow's form. Only the import is another one.

import { label } from "./label.mjs";
import { defineWorkflow } from "./openworkflow.mjs";

export default defineWorkflow({ name: "openworkflow" }, async ({ input, step, run }) => {
  const order = await step.run({ name: "reserve" }, () => ({ number: `${run.id}-1`, item: input.item }));
  await step.sleep("let it settle", "500ms");
  const packed = await step.waitForSignal({ signal: "packed", timeout: "1h" });
  if (packed === null) throw new Error(`nobody packed ${order.number} in time`);
  const parcel = await step.runWorkflow(label.spec, { number: order.number, boxes: packed.data.boxes });
  return { ...order, ...parcel };
});
