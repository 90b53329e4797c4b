import assert from "node:assert/strict";
import fs from "node:fs";
import { after, test } from "node:test";

import { Bench, until } from "./support/bench.mjs";

const benches = [];
after(() => benches.forEach((bench) => bench.remove()));

function bench(code) {
  benches.push(new Bench(code));
  return benches.at(-1);
}

const DOCUMENTED = `async function workflow(input, { step, sleep }) {
  const greeting = await step("greet", () => \`Hello, \${input.name}!\`);
  await sleep("wait", 5000);
  return await step("complete", () => ({ message: greeting, timestamp: Date.now() }));
}
`;
const ENDLESS = "async function workflow(_, { step }) { await step('a', () => 1); await step('b', () => new Promise((r) => setTimeout(r, 60_000))); }";

test("the documented example runs as it stands, parks in its sleep, and goes on in another process", async () => {
  const one = bench(DOCUMENTED);
  const parked = await one.run("u", { input: { name: "World" }, parkAfterMs: 1000 });
  assert.equal(parked.type, "parked");
  await new Promise((resolve) => setTimeout(resolve, Date.parse(parked.until) - Date.now() - 200));
  const { status, output } = await one.resume("u", { parkAfterMs: 1000 });

  assert.deepEqual([status, output.message], ["completed", "Hello, World!"]);
  assert.ok(output.timestamp >= Date.parse(parked.until));
  assert.deepEqual(one.of("u", "requested").map(({ key }) => key), ["greet", "wait", "complete"]);
  assert.deepEqual(fs.readdirSync(one.path("changed")), ["u"]);
});

test("a worker that is killed is replaced, and no completed step runs again", async () => {
  const one = bench(`const fs = require("fs");
    async function workflow(_, { step, run }) {
      let sum = 0;
      for (let i = 0; i < 200; i++) sum += await step("s", () => { fs.appendFileSync(run.folder + "/ran", i + "\\n"); return i; });
      return sum;
    }`);
  one.create("u");
  for (const enough of [20, 90, 150]) {
    const worker = one.worker({ uid: "u" });
    worker.order("u");
    await until(() => one.of("u", "completed").length >= enough);
    await worker.kill();
    const journal = `${one.prefix("u")}journal.jsonl`;
    fs.truncateSync(journal, fs.readFileSync(journal).lastIndexOf(10) + 1);
  }
  assert.equal((await one.resume("u")).output, 19_900);

  const ran = fs.readFileSync(`${one.prefix("u")}files/ran`, "utf8").trim().split("\n");
  const again = ran.length - new Set(ran).size;
  assert.equal(new Set(ran).size, 200);
  assert.ok(again <= one.of("u", "started").length);
  assert.equal(one.of("u", "completed").length, 200);
});

test("cancel is read from the inbox at a wake, and before a start", async () => {
  const one = bench(ENDLESS);
  for (const uid of ["early", "live"]) one.create(uid, null, { cancel: { grace_ms: 20 } });
  one.send("early", { type: "cancel", reason: "never mind" });
  const live = one.worker({ uid: "live" });
  live.order("live");
  await until(() => one.of("live", "requested").length === 2);
  one.send("live", { type: "cancel", reason: "enough" });
  live.wake();

  assert.equal(await live.ended, 0);
  assert.deepEqual(one.records("live").slice(-3).map(({ type, reason, inbox }) => [type, reason, inbox]), [["canceling", "enough", 1], ["abandoned", undefined, undefined], ["finished", "enough", undefined]]);
  assert.deepEqual([(await one.resume("early")).status, one.of("early", "requested").length], ["canceled", 0]);
});

test("a run can be canceled while its code is loaded", async () => {
  const one = bench({ "a.mjs": "await new Promise((resolve) => setTimeout(resolve, 60_000)); export default () => 1;" });
  one.create("u");
  const worker = one.worker({ uid: "u" });
  worker.order("u");
  await until(() => one.of("u", "claim").length === 1);
  one.send("u", { type: "cancel", reason: "enough" });
  worker.wake();

  assert.equal(await worker.ended, 0);
  assert.equal(one.last("u").status, "canceled");
});

test("SIGTERM suspends: the claim is released and the process ends well", async () => {
  const one = bench(ENDLESS);
  one.create("u", null, { cancel: { grace_ms: 20 } });
  const worker = one.worker({ uid: "u" });
  worker.order("u");
  await until(() => one.of("u", "requested").length === 2);

  assert.equal(await worker.kill("SIGTERM"), 0);
  assert.deepEqual([one.last("u").type, one.last("u").reason], ["released", "suspended"]);
});

test("one worker hosts many runs side by side, which share the module, and tells their output apart", async () => {
  const one = bench(`let loaded = 0; loaded++; console.log("at load");
    async function workflow({ name }, { step, sleep }) {
      console.log("hello", name);
      await step("a", () => console.error("step", name));
      await sleep("s", 20);
      process.stdout.write(Buffer.from("bye " + name + "\\n"), () => console.log("flushed", name));
      await sleep("t", 5);
      setTimeout(() => { throw new Error("stray " + name); });
      await sleep("u", 10);
      return loaded;
    }`);
  const worker = one.worker({ capacity: 4 });
  const names = Array.from({ length: 12 }, (_, index) => `r${index}`);
  for (const name of names) one.create(name, { name });
  for (const name of names) worker.order(name);

  assert.equal(await worker.ended, 0);
  for (const name of names) {
    assert.deepEqual([one.last(name).status, one.last(name).output], ["completed", 1]);
    assert.match(one.output(name), new RegExp(`^hello ${name}\nstep ${name}\nbye ${name}\nflushed ${name}\nUncaught Error: stray ${name}\n    at [^]*$`));
  }
  assert.equal(fs.readFileSync(worker.log, "utf8"), "at load\n");
});

test("a draining worker ends what it holds and takes nothing more", async () => {
  const one = bench("async function workflow(_, { sleep }) { await sleep('s', 100); }");
  const worker = one.worker({ capacity: 2, lingerMs: 60_000 });
  for (const uid of ["a", "b"]) one.create(uid);
  worker.order("a");
  await until(() => one.of("a", "claim").length === 1);
  worker.drain();
  worker.order("b");

  assert.equal(await worker.ended, 0);
  assert.equal(one.last("a").status, "completed");
  assert.equal(one.of("b", "claim").length, 0);
});

test("a worker that comes second withdraws, and so does one with an old or impossible order", async () => {
  const one = bench(ENDLESS);
  one.create("u");
  const owner = one.worker({ uid: "u" });
  owner.order("u");
  await until(() => one.of("u", "requested").length === 2);
  const before = fs.readFileSync(`${one.prefix("u")}journal.jsonl`);
  const second = one.worker({ capacity: 2 });
  second.order("u", 1);
  second.order("missing", 1);

  assert.equal(await second.ended, 0);
  assert.deepEqual(fs.readFileSync(`${one.prefix("u")}journal.jsonl`), before);
  assert.match(fs.readFileSync(second.log, "utf8"), /order for run u, claim 1: not taken: claim 1 is not after claim 1\norder for run missing, claim 1: not taken: ENOENT/);
  await owner.kill();
});

test("a damaged or torn journal is left as it is", async () => {
  const one = bench(ENDLESS);
  for (const [uid, tail] of [["torn", "0123"], ["damaged", "00000000 {}\n"], ["nul", "\0\0\0"]]) {
    one.create(uid);
    fs.appendFileSync(`${one.prefix(uid)}journal.jsonl`, tail);
    const before = fs.readFileSync(`${one.prefix(uid)}journal.jsonl`);
    const worker = one.worker({ uid });
    worker.order(uid, 1);

    assert.equal(await worker.ended, 0);
    assert.deepEqual(fs.readFileSync(`${one.prefix(uid)}journal.jsonl`), before);
  }
});

test("stray errors are printed and fail nothing", async () => {
  const one = bench(`async function workflow(_, { step, sleep }) {
    setTimeout(() => { throw new Error("stray callback"); });
    Promise.reject(new Error("stray promise"));
    step("lost", () => { throw new Error("nobody awaits it"); }, { retry: { maxAttempts: 1 } });
    await sleep("s", 30);
    return "fine";
  }`);

  assert.equal((await one.run("u")).output, "fine");
  assert.match(one.output("u"), /Unhandled rejection: Error: stray promise[^]*Uncaught Error: stray callback/);
  assert.doesNotMatch(one.output("u"), /nobody awaits it/);
});

test("code that replaces globals, changes the folder or closes its output does not harm the journal", async () => {
  const one = bench(`async function workflow(_, { step, sleep, run }) {
    const fs = require("fs");
    process.chdir("/"); process.umask(0); fs.closeSync(1);
    Date = class { static now() { return 0; } }; Date.prototype.toISOString = () => "never"; JSON.stringify = () => "x"; JSON.parse = () => 7;
    Promise.prototype.finally = null; Math.random = () => 5; process.exit = () => 1;
    for (const name of ["writeSync", "fdatasyncSync", "fdatasync", "openSync"]) fs[name] = () => { throw new Error("mine"); };
    for (const name of ["setTimeout", "setImmediate", "clearTimeout", "AbortController", "performance"]) globalThis[name] = undefined;
    process.getActiveResourcesInfo = undefined; process.removeAllListeners("SIGUSR2");
    const a = await step("a", ({ signal, attempt }) => { if (attempt === 1) throw new RangeError("x"); return { at: signal.aborted }; }, { retry: { initialInterval: 1 } });
    await sleep("s", 20);
    await Promise.all([step("b", async () => 1), step("c", async () => 2)]);
    return a;
  }`);

  assert.deepEqual((await one.run("u")).output, { at: false });
});

test("code that cannot be loaded fails the run and says where", async () => {
  const one = bench("exports.main = 1;");
  const { status, error } = await one.run("u", { settings: { retry: { max_attempts: 5 } } });

  assert.equal(status, "failed");
  assert.match(error.message, /^workflow\.js:1: no workflow found: expected `async function workflow/);
});

test("code that ends the process leaves a claim without an end", async () => {
  const one = bench("async function workflow(_, { step }) { await step('a', () => 1); process.exit(0); }");
  await one.run("u");

  assert.equal(one.last("u").type, "completed");
});

test("files are for the owner only, and the lock and the wake pipe reach no child", async () => {
  const one = bench(`const { execFileSync } = require("child_process"); const fs = require("fs");
    async function workflow(_, { step, run }) {
      fs.writeFileSync(run.folder + "/file", "");
      return step("fds", () => execFileSync("ls", ["-l", "/proc/self/fd"]).toString());
    }`);
  const { output } = await one.run("u", { uid: "u" });
  const mode = (path) => (fs.statSync(path).mode & 0o777).toString(8);

  assert.doesNotMatch(output, /lock|wake|journal/);
  assert.deepEqual([mode(`${one.prefix("u")}files`), mode(`${one.prefix("u")}files/file`), mode(one.path("changed/u"))], ["700", "600", "600"]);
});

test("of too much output the newest part is kept", async () => {
  const one = bench(`async function workflow(_, { step, sleep }) {
    const line = "x".repeat(1023) + "\\n";
    for (let i = 0; i < 70; i++) process.stdout.write(line.repeat(1024));
    await sleep("s", 1500);
    console.log("the end");
  }`);
  await one.run("u");
  const text = one.output("u");

  assert.ok(text.length > 47 << 20 && text.length < 50 << 20, String(text.length));
  assert.ok(text.endsWith("x\nthe end\n"));
});

test("a parked run comes back to the worker that hosted it", async () => {
  const one = bench("async function workflow(_, { step, sleep }) { const a = await step('a', () => 1); await sleep('s', 400); return a + await step('b', () => 1); }");
  one.create("u");
  const worker = one.worker({ capacity: 2, lingerMs: 1500, parkAfterMs: 100 });
  worker.order("u");
  await until(() => one.last("u").type === "parked");
  await new Promise((resolve) => setTimeout(resolve, Date.parse(one.last("u").until) - Date.now()));
  worker.order("u");
  await until(() => one.last("u").type === "finished");

  assert.equal(one.last("u").output, 2);
  assert.equal(await worker.ended, 0);
});

test("a run that waits for a deep sleep beside work that Node does not list still does the work", async () => {
  const one = bench(`const { pbkdf2 } = require("crypto"); const { promisify } = require("util");
    async function workflow(_, { step, sleep }) {
      await Promise.all([sleep("long", "1h"), promisify(pbkdf2)("a", "b", 1000, 64, "sha512").then(() => step("after", () => 1))]);
    }`);
  await one.run("u");

  assert.deepEqual(one.of("u", "completed").map(({ key }) => key), ["after"]);
  assert.deepEqual(one.last("u").waits, [{ key: "long", kind: "sleep" }]);
});
