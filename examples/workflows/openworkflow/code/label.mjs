import { defineWorkflow } from "./openworkflow.mjs";

export const label = defineWorkflow({ name: "openworkflow-label" }, async ({ input, step }) => {
  const labels = [];
  for (let box = 1; box <= input.boxes; box++) {
    labels.push(await step.run({ name: "print" }, () => `${input.number}/${box}`));
  }
  return { labels };
});

export default label;
