// Plays the reconciler to real worker processes.

import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

import { History } from "../../../runtimes/javascript/history.mjs";
import { decodeLines, encodeLine } from "../../../runtimes/javascript/lines.mjs";

const WORKER = fileURLToPath(new URL("../../../runtimes/javascript/worker.mjs", import.meta.url));
const FLAGS = ["--experimental-detect-module", "--disable-warning=ExperimentalWarning", "--disable-warning=MODULE_TYPELESS_PACKAGE_JSON"];
const line = (record) => encodeLine(JSON.stringify(record));

/** Wait until `check()` is true. */
export async function until(check, ms = 10_000) {
  for (const end = Date.now() + ms; !check(); ) {
    if (Date.now() > end) throw new Error(`it did not come true: ${check}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** A folder with the code of one workflow, its runs and its workers. */
export class Bench {
  #workers = 0;

  /** `code` maps paths to texts; the first is the entry. */
  constructor(code) {
    this.folder = fs.mkdtempSync(path.join(os.tmpdir(), "ty-worker-"));
    this.code = typeof code === "string" ? { "workflow.js": code } : code;
    for (const name of ["runs", "changed", "code"]) fs.mkdirSync(this.path(name));
    for (const [name, text] of Object.entries(this.code)) fs.writeFileSync(this.path("code", name), text);
  }

  path(...parts) {
    return path.join(this.folder, ...parts);
  }

  prefix(uid) {
    return this.path("runs", `${uid}.`);
  }

  /** Create a run. */
  create(uid, input = null, settings = {}) {
    const order = { type: "order", claim: 0, seq: 1, at: new Date().toISOString(), protocol: 1, uid, run: uid, incarnation: 1, input, settings };
    fs.writeFileSync(`${this.prefix(uid)}journal.jsonl`, line(order));
  }

  /** Return the records of a run that count. */
  records(uid) {
    const history = new History();
    const kept = [];
    for (const record of decodeLines(fs.readFileSync(`${this.prefix(uid)}journal.jsonl`)).records) {
      const { accepted } = history;
      history.accept(record);
      if (history.accepted > accepted) kept.push(record);
    }
    return kept;
  }

  /** Return the records of a run with that type. */
  of(uid, type) {
    return this.records(uid).filter((record) => record.type === type);
  }

  last(uid) {
    return this.records(uid).at(-1);
  }

  output(uid) {
    return fs.readFileSync(`${this.prefix(uid)}output.log`, "utf8");
  }

  /** Start a worker; with `uid` it prints into that run's output.log. */
  worker({ uid, capacity = 1, lingerMs = 100, parkAfterMs = 120_000, env = {} } = {}) {
    const id = `w${++this.#workers}`;
    const hello = {
      type: "hello", protocol: 1, worker: id, revision: "r", code: this.path("code"), entry: Object.keys(this.code)[0],
      paths: [], capacity, linger_ms: lingerMs, park_after_ms: parkAfterMs, changed: this.path("changed"),
    }; // prettier-ignore
    return new Worker(this, hello, uid === undefined ? this.path(`${id}.log`) : `${this.prefix(uid)}output.log`, env);
  }

  /** Carry a new run out in one worker of its own, and return its last record. */
  async run(uid, { input, settings, ...options } = {}) {
    this.create(uid, input, settings);
    return this.resume(uid, options);
  }

  /** Carry a run on in another worker, and return its last record. */
  async resume(uid, options = {}) {
    const worker = this.worker({ uid, ...options });
    worker.order(uid);
    await worker.ended;
    return this.last(uid);
  }

  /** Put other code in the place of the present. */
  change(text) {
    fs.writeFileSync(this.path("code", Object.keys(this.code)[0]), text);
  }

  /** Put a record into the inbox of a run. */
  send(uid, record) {
    const inbox = `${this.prefix(uid)}inbox`;
    fs.mkdirSync(inbox, { recursive: true });
    const number = String(fs.readdirSync(inbox).length + 1).padStart(6, "0");
    fs.writeFileSync(`${inbox}.new`, line(record));
    fs.renameSync(`${inbox}.new`, `${inbox}/${number}.json`);
  }

  remove() {
    fs.rmSync(this.folder, { recursive: true });
  }
}

/** One worker process. */
class Worker {
  constructor(bench, hello, output, env) {
    this.bench = bench;
    this.id = hello.worker;
    this.folder = bench.path(hello.worker);
    this.log = output;
    fs.mkdirSync(this.folder);
    execFileSync("mkfifo", [`${this.folder}/wake`]);
    this.#append(hello);
    const { O_NONBLOCK, O_RDONLY, O_WRONLY } = fs.constants;
    const lock = fs.openSync(`${this.folder}/lock`, "a");
    const wake = fs.openSync(`${this.folder}/wake`, O_RDONLY | O_NONBLOCK);
    this.end = fs.openSync(`${this.folder}/wake`, O_WRONLY | O_NONBLOCK);
    const out = fs.openSync(output, "a", 0o600);
    const environment = { PATH: process.env.PATH, TY_OPENWORKFLOW_WORKER: this.id, ...env };
    this.process = spawn(process.execPath, [...FLAGS, WORKER, this.folder], { stdio: ["ignore", out, out, lock, wake], env: environment });
    for (const fd of [lock, wake, out]) fs.closeSync(fd);
    this.ended = once(this.process, "exit").then(([status, signal]) => {
      fs.closeSync(this.end);
      return signal ?? status;
    });
  }

  #append(record) {
    fs.appendFileSync(`${this.folder}/orders`, line(record));
  }

  wake() {
    fs.writeSync(this.end, "!");
  }

  /** Order the next claim of a run. */
  order(uid, claim = this.bench.of(uid, "claim").length + 1, before = undefined) {
    this.#append({ type: "order", uid, claim, prefix: this.bench.prefix(uid), before });
    this.wake();
  }

  drain() {
    this.#append({ type: "drain" });
    this.wake();
  }

  handOver(keep) {
    this.#append({ type: "hand-over", keep });
    this.wake();
  }

  /** Ask whether the code fits the journal of a run, and return the verdict. */
  async replay(uid) {
    this.#append({ type: "replay", uid, prefix: this.bench.prefix(uid) });
    this.wake();
    await this.ended;
    return JSON.parse(fs.readFileSync(`${this.folder}/verdict.json`, "utf8"));
  }

  kill(signal = "SIGKILL") {
    this.process.kill(signal);
    return this.ended;
  }
}
