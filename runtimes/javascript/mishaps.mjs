// Why user code could not be loaded, told with file and line. Imported only when that has happened.

import { spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

import { LoadError } from "./errors.mjs";

const EXPECTED = "expected `async function workflow(input, { step, sleep })`, alone or exported as module.exports, as default or under the name workflow";
const IMPORTED = /(?:\bfrom|\bimport|\brequire)\s*\(?\s*["'](\.[^"']+)["']/g;
const PLACE = /^(?:file:\/\/)?(\/[^\n]+?):(\d+)(?:\n|$)/;
const FRAME = /(?:file:\/\/)?(\/[^\s()]+?):(\d+):\d+\)?$/;
const MOST_FILES = 200;
// Parses files without running them: Node tells the line of a syntax error in a module only where nobody catches it.
const CHECK = `
const vm = require("node:vm"), fs = require("node:fs");
for (const file of process.argv.slice(1)) {
  const source = fs.readFileSync(file, "utf8");
  try { vm.compileFunction(source, ["exports", "require", "module", "__filename", "__dirname"]); continue; } catch {}
  new vm.SourceTextModule(source, { identifier: file });
}`;

/** Return the error for a file without a workflow function. */
export function missing(entry, found) {
  const names = Object.keys(found ?? {}).filter((name) => name !== "default");
  const instead = names.length > 0 ? `; it exports ${names.slice(0, 10).join(", ")}` : "";
  return new LoadError(`${entry}:1: no workflow found: ${EXPECTED}${instead}`);
}

/** Return the LoadError for whatever went wrong while `entry` was loaded. */
export function explain(error, { code, entry, file }) {
  if (error instanceof LoadError) return error;
  if (error?.code === "ENOENT" && error.path === file) return new LoadError(`${entry}: there is no such file in the code`);
  const { name = "Error", message = String(error) } = Object(error);
  const place = placeIn(error, code) ?? (name === "SyntaxError" ? placeOfSyntaxError(file, code) : undefined) ?? `${entry}:1`;
  const expected = name === "SyntaxError" ? `; ${EXPECTED}` : "";
  return new LoadError(`${place}: ${name}: ${firstLine(message)}${expected}`, { cause: error });
}

function firstLine(text) {
  return String(text).split("\n")[0];
}

function placeIn(error, code) {
  const stack = String(error?.stack ?? "");
  const lines = [PLACE.exec(stack), ...stack.split("\n").map((line) => FRAME.exec(line))];
  const found = lines.find((match) => match !== null && within(code, match[1]) !== undefined);
  return found && `${within(code, found[1])}:${found[2]}`;
}

function within(code, file) {
  const relative = path.relative(code, decodeURI(file));
  return relative.startsWith("..") || path.isAbsolute(relative) ? undefined : relative;
}

function placeOfSyntaxError(file, code) {
  const flags = ["--experimental-vm-modules", "--disable-warning=ExperimentalWarning"];
  const { stderr } = spawnSync(process.execPath, [...flags, "-e", CHECK, ...reachable(file)], { encoding: "utf8", timeout: 10_000 });
  const match = PLACE.exec(stderr ?? "");
  return match ? `${within(code, match[1])}:${match[2]}` : undefined;
}

/** Return `entry` and the files that it names in relative imports, directly or through others. */
function reachable(entry) {
  const files = [entry];
  for (const file of files) {
    for (const imported of importsOf(file)) {
      if (files.length < MOST_FILES && !files.includes(imported)) files.push(imported);
    }
  }
  return files;
}

function importsOf(file) {
  try {
    const source = fs.readFileSync(file, "utf8");
    return Array.from(source.matchAll(IMPORTED), ([, to]) => fileURLToPath(new URL(to, `file://${encodeURI(file)}`))).filter((to) => fs.existsSync(to));
  } catch {
    return [];
  }
}
