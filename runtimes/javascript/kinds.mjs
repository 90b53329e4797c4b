// The kinds of calls that most workflows do without; loaded only for those that may make them.

export { Children } from "./children.mjs";
export { Nows, OnCancels, Patches, Randoms, Uuids } from "./immediate.mjs";
export { Sends, Signals } from "./signals.mjs";
