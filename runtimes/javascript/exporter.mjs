// Makes an ES module export its function `workflow` that it defines but does not export.

import Module from "node:module";

/** Load the module at `url` from `source` with an export added. Costs a thread of Node's: only for modules that need it. */
export function exportLocal(url, source) {
  const data = { url, source: `${source}\nexport { workflow };\n` };
  Module.register("./exporter-hooks.mjs", { parentURL: import.meta.url, data });
}
