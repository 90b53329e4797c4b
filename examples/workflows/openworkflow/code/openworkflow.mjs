// OpenWorkflow's object form on top of ty-openworkflow. Imports nothing; the calls of ours do the work.

export function defineWorkflow(spec, fn) {
  const workflow = (input, api) =>
    fn({ input, step: steps(api), version: api.run.version || null, run: Object.freeze({ id: api.run.id, workflowName: spec.name }) });
  return Object.assign(workflow, { spec });
}

function steps({ step, sleep, waitForSignal, sendSignal, runWorkflow }) {
  return {
    run: ({ name, retryPolicy }, fn) => step(name, () => fn(), retryPolicy && { retry: policy(retryPolicy) }),
    sleep,
    // A signal of ours goes to one run: `run` names it. One that carries null is not told apart from a timeout.
    sendSignal: ({ name, signal, data, run }) => sendSignal(run, signal, data, { name }),
    waitForSignal: async ({ name, signal, timeout }) => {
      const data = await waitForSignal(signal, { name, timeout });
      return data === null ? null : { data };
    },
    runWorkflow: (spec, input, { name, timeout } = {}) => runWorkflow(spec.name, input, { name: name ?? spec.name, timeout }),
  };
}

function policy({ initialInterval, backoffCoefficient, maximumInterval, maximumAttempts }) {
  const known = { initialInterval, factor: backoffCoefficient, maxInterval: maximumInterval, maxAttempts: maximumAttempts };
  return { jitter: false, ...Object.fromEntries(Object.entries(known).filter(([, value]) => value !== undefined)) };
}
