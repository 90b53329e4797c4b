// What the code of a case may use beside its calls: gates that the test opens, effects that it counts, and crashes.

import fs from "node:fs";

const { appendFileSync, existsSync, writeFileSync } = fs;
const LOOK_MS = 2;

/** Return the tools of one run. */
export function tools(run) {
  const folder = process.env.CONFORMANCE;
  const path = (kind, name) => `${folder}/${run}.${kind}.${name}`;

  /** Wait until the test opens a gate; `look` makes the timer of the next look. */
  const opened = (name, look) =>
    new Promise((resolve) => {
      const again = () => (existsSync(path("gate", name)) ? resolve() : look(again));
      again();
    });

  return {
    /** For bodies of steps. */
    gate: (name) => opened(name, (again) => setTimeout(again, LOOK_MS).unref()),
    /** Between steps: something foreign that the code waits for. */
    outside: (name) => opened(name, (again) => setTimeout(again, LOOK_MS)),
    /** Leave a mark that the test counts. */
    effect: (name) => appendFileSync(`${folder}/${run}.effects`, `${name}\n`),
    /** Kill the process, the first time that this is called with that name. */
    crash: (name = "crash") => {
      if (existsSync(path("crashed", name))) return;
      writeFileSync(path("crashed", name), "");
      process.kill(process.pid, "SIGKILL");
    },
    /** Throw an error of that name. */
    fail: (name, message, fields = {}) => {
      throw Object.assign(named(name, message), fields);
    },
  };
}

function named(name, message) {
  const error = new Error(message);
  Object.defineProperty(error, "name", { value: name });
  return error;
}
