// Finding the workflow function in the code of a user.

import fs from "node:fs";
import Module from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";
import vm from "node:vm";

const { readFileSync } = fs;
const PARAMETERS = ["exports", "require", "module", "__filename", "__dirname"];
const LOCAL = "ty-openworkflow local";
const TAIL = `\n;if (typeof workflow === "function") module[${JSON.stringify(LOCAL)}] = workflow;`;
const DEFINED = /^[ \t]*(?:async[ \t]+)?function[ \t]*\*?[ \t]+workflow\b|^[ \t]*(?:const|let|var)[ \t]+workflow\b/m;
const EXPORTED = /^[ \t]*export\b[^;]*\bworkflow\b|^[ \t]*export[ \t]+default\b/m;

/** Return the workflow function that `entry` in the folder `code` holds. Throws LoadError, which names file and line. */
export async function loadWorkflow(code, entry) {
  const file = path.resolve(code, entry);
  try {
    const source = readFileSync(file, "utf8");
    const found = isCommonJs(file, source) ? loadCommonJs(file, source) : await loadModule(file, source);
    const workflow = pick(found);
    if (workflow !== undefined) return workflow;
    const { missing } = await import("./mishaps.mjs");
    throw missing(entry, found);
  } catch (error) {
    const { explain } = await import("./mishaps.mjs");
    throw explain(error, { code, entry, file });
  }
}

function pick(found) {
  if (typeof found === "function") return found;
  const candidates = [found?.workflow, found?.default, found?.default?.workflow, found?.default?.default, found?.[LOCAL]];
  return candidates.find((candidate) => typeof candidate === "function");
}

function isCommonJs(file, source) {
  const extension = path.extname(file);
  if (extension === ".mjs") return false;
  if (extension === ".cjs") return true;
  if (extension !== ".js" && extension !== "") return false;
  const type = packageType(path.dirname(file));
  return type === undefined ? compiles(file, source) : type !== "module";
}

function packageType(folder) {
  try {
    return JSON.parse(readFileSync(path.join(folder, "package.json"), "utf8")).type;
  } catch (error) {
    const parent = path.dirname(folder);
    return error.code === "ENOENT" && parent !== folder ? packageType(parent) : undefined;
  }
}

function compiles(file, source) {
  try {
    vm.compileFunction(source, PARAMETERS, { filename: file });
    return true;
  } catch {
    return false;
  }
}

function loadCommonJs(file, source) {
  // As `require` does it, but for the tail, which finds a function that the file does not export.
  const module = new Module(file, null);
  module.filename = file;
  module.paths = Module._nodeModulePaths(path.dirname(file));
  Module._cache[file] = module;
  module._compile(source + TAIL, file);
  module.loaded = true;
  const { exports } = module;
  return pick(exports) ?? module[LOCAL] ?? exports;
}

async function loadModule(file, source) {
  const url = pathToFileURL(file).href;
  if (DEFINED.test(source) && !EXPORTED.test(source)) {
    const { exportLocal } = await import("./exporter.mjs");
    exportLocal(url, source);
  }
  return import(url);
}
