// Runs in the thread of Node's module hooks.

let target;

/** Take what `exportLocal` prepared. */
export function initialize(data) {
  target = data;
}

/** Give the prepared source for the one module, and Node's own for every other. */
export function load(url, context, nextLoad) {
  if (url !== target.url) return nextLoad(url, context);
  return { format: "module", source: target.source, shortCircuit: true };
}
