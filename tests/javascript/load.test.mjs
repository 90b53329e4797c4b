import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, test } from "node:test";

import { loadWorkflow } from "../../runtimes/javascript/load.mjs";

const folders = [];
after(() => folders.forEach((folder) => fs.rmSync(folder, { recursive: true })));

/** Load the first of `files` (path to text) and return what its workflow function returns. */
async function outcome(files) {
  const workflow = await load(files);
  return workflow("in", {});
}

function load(files) {
  const folder = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), "ty-load-")));
  folders.push(folder);
  for (const [name, text] of Object.entries(files)) {
    fs.mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    fs.writeFileSync(path.join(folder, name), text);
  }
  return loadWorkflow(folder, Object.keys(files)[0]);
}

async function failure(files) {
  const error = await load(files).then(() => assert.fail("it was loaded"), (reason) => reason);
  assert.equal(error.name, "LoadError");
  return error.message;
}

const PLAIN = 'async function workflow(input) { return `${input}: plain`; }\n';
const ESM_PACKAGE = '{"type": "module"}';

test("a plain function needs no export", async () => {
  assert.equal(await outcome({ "a.js": PLAIN }), "in: plain");
  assert.equal(await outcome({ "a.cjs": PLAIN }), "in: plain");
});

test("a plain function may be a constant, and the file may end in a comment", async () => {
  assert.equal(await outcome({ "a.js": "#!/usr/bin/env node\nconst workflow = async () => 7; // seven" }), 7);
});

test("CommonJS exports the function, or an object with it", async () => {
  assert.equal(await outcome({ "a.js": "module.exports = async () => 1;" }), 1);
  assert.equal(await outcome({ "a.js": "exports.workflow = async () => 2;" }), 2);
  assert.equal(await outcome({ "a.cjs": "module.exports = { workflow: async () => 3 };" }), 3);
  assert.equal(await outcome({ "a.js": "exports.__esModule = true; exports.default = async () => 4;" }), 4);
});

test("an exported function wins over a local one", async () => {
  assert.equal(await outcome({ "a.js": `${PLAIN} module.exports = async () => "exported";` }), "exported");
});

test("an ES module exports it by default or by name, with or without a package.json", async () => {
  assert.equal(await outcome({ "a.mjs": "export default async () => 1;" }), 1);
  assert.equal(await outcome({ "a.mjs": "export async function workflow() { return 2; }" }), 2);
  assert.equal(await outcome({ "a.js": "export default async () => 3;" }), 3);
  assert.equal(await outcome({ "a.js": "export default async () => 4;", "package.json": ESM_PACKAGE }), 4);
  assert.equal(await outcome({ "a.js": "async function workflow() { return 5; }\nexport { workflow };" }), 5);
});

test("an ES module that imports but does not export is understood", async () => {
  const source = 'import os from "node:os";\nimport { two } from "./b.js";\nasync function workflow() { return typeof os.EOL + two; }\n';
  assert.equal(await outcome({ "a.js": source, "b.js": "export const two = 2;" }), "string2");
  assert.equal(await outcome({ "a.mjs": source, "b.js": "export const two = 2;" }), "string2");
});

test("top-level await makes a module", async () => {
  assert.equal(await outcome({ "a.mjs": "const value = await Promise.resolve(6);\nexport default async () => value;" }), 6);
});

test("neighbours are imported and required", async () => {
  assert.equal(await outcome({ "a.js": 'const { one } = require("./lib/b");\nasync function workflow() { return one; }', "lib/b.js": "exports.one = 1;" }), 1);
  assert.equal(await outcome({ "a.js": 'import { one } from "./b.js";\nexport default () => one;', "b.js": "export const one = 1;" }), 1);
  assert.equal(await outcome({ "a.js": 'import b from "./b.cjs";\nexport default () => b.one;', "b.cjs": "exports.one = 1;" }), 1);
  assert.equal(await outcome({ "a.js": 'async function workflow() { return (await import("./b.mjs")).one; }', "b.mjs": "export const one = 1;" }), 1);
  assert.equal(await outcome({ "a.js": 'async function workflow() { return require("./b.json").one; }', "b.json": '{"one": 1}' }), 1);
});

test("installed packages are found by Node's rules", async () => {
  const installed = { "node_modules/p/package.json": '{"main": "m.js"}', "node_modules/p/m.js": "module.exports = 9;" };
  assert.equal(await outcome({ "a.js": 'const p = require("p");\nasync function workflow() { return p; }', ...installed }), 9);
  assert.equal(await outcome({ "a.js": 'import p from "p";\nexport default () => p;', ...installed }), 9);
});

test("code without a workflow is told what was expected, and what it exports instead", async () => {
  assert.match(await failure({ "a.js": "exports.main = () => 1;" }), /^a\.js:1: no workflow found: expected `async function workflow\(input, .*it exports main$/);
  assert.match(await failure({ "a.mjs": "export const x = 1;" }), /^a\.mjs:1: no workflow found: .*it exports x$/);
  assert.match(await failure({ "lib/a.js": "" }), /^lib\/a\.js:1: no workflow found/);
});

test("a syntax error names file and line", async () => {
  assert.match(await failure({ "a.js": "const a = 1;\nasync function workflow( {\n" }), /^a\.js:[23]: SyntaxError: .*; expected `async function workflow/);
  assert.match(await failure({ "a.cjs": "const a = 1;\nconst b = ;\n" }), /^a\.cjs:2: SyntaxError: Unexpected token ';'/);
  assert.match(await failure({ "a.mjs": "export const a = 1;\n\nexport const b = ;\n" }), /^a\.mjs:3: SyntaxError: Unexpected token ';'/);
});

test("a syntax error in a neighbour names the neighbour", async () => {
  const broken = "export const one = 1;\nexport const two = ;\n";
  assert.match(await failure({ "a.mjs": 'import "./lib/b.mjs";\nexport default () => 1;', "lib/b.mjs": broken }), /^lib\/b\.mjs:2: SyntaxError/);
  assert.match(await failure({ "a.js": 'require("./b.cjs");\nasync function workflow() {}', "b.cjs": "\nlet let = 1;" }), /^b\.cjs:2: SyntaxError/);
  assert.match(await failure({ "a.mjs": '\nimport { two } from "./b.mjs";\nexport default () => two;', "b.mjs": "export const one = 1;" }), /^a\.mjs:2: SyntaxError: .*two/);
});

test("code that throws while it is loaded is told where", async () => {
  assert.match(await failure({ "a.js": '\n\nthrow new RangeError("no token");' }), /^a\.js:3: RangeError: no token$/);
  assert.match(await failure({ "a.mjs": 'import "./b.mjs";\nexport default () => 1;', "b.mjs": '\nthrow new Error("x");' }), /^b\.mjs:2: Error: x$/);
  assert.match(await failure({ "a.js": 'require("not-installed");\nasync function workflow() {}' }), /^a\.js:1: Error: Cannot find module 'not-installed'$/);
  assert.match(await failure({ "a.mjs": 'import "not-installed";' }), /^a\.mjs:1: Error: Cannot find package 'not-installed'/);
});

test("an entry that is not there is named", async () => {
  const error = await loadWorkflow(os.tmpdir(), "no-such-file.js").catch((reason) => reason);
  assert.equal(error.message, "no-such-file.js: there is no such file in the code");
});
