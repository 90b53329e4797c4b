// The JavaScript worker: `node worker.mjs W` hosts the runs that the orders in the folder W name. See ../PROTOCOL.md.

import fs from "node:fs";
import path from "node:path";
import zlib from "node:zlib";

import { later, onFatal, ownResources } from "./clock.mjs";
import { Host } from "./host.mjs";
import { Orders } from "./orders.mjs";
import { attributeOutput, report } from "./output.mjs";

const WAKE = 4;
const STORAGE_FAILED = 70;
const OPEN_WAKE_AFTER_MS = 5;
const LONGEST_INTERVAL_MS = 2 ** 31 - 1;
const { existsSync, fstatSync, openSync, statSync } = fs;
const { O_NONBLOCK, O_RDONLY, O_WRONLY } = fs.constants;
const reallyExit = process.reallyExit.bind(process);
const emit = process.emit.bind(process);
const { setInterval, setTimeout } = globalThis;

const exits = {
  done() {
    try {
      emit("exit", 0);
    } catch (error) {
      report(describe(error));
    }
    reallyExit(0);
  },
  storage(error) {
    report(`the journal cannot be written: ${error.message}`);
    reallyExit(STORAGE_FAILED);
  },
  bug(error) {
    report(`the worker failed: ${describe(error)}`);
    reallyExit(1);
  },
};

function describe(error) {
  return String(error?.stack ?? error);
}

/** Tell of errors that no one handles, and go on: they are no reason for a run to fail. */
function surviveStrayErrors() {
  process.on("uncaughtException", (error) => report(`Uncaught ${describe(error)}`));
  process.on("unhandledRejection", (reason) => report(`Unhandled rejection: ${describe(reason)}`));
}

/** Call `wake` for every byte in the pipe W/wake: descriptor 4 is its read end, or it is opened by its name. */
async function listen(folder, wake) {
  const pipe = `${folder}/wake`;
  if (!existsSync(pipe)) {
    // Woken by SIGUSR2 only; a signal does not keep the process.
    setInterval(() => undefined, LONGEST_INTERVAL_MS);
    ownResources({ pipes: 0, timers: 1 });
    return;
  }
  const { Socket } = await import("node:net");
  const fd = isPassed(pipe) ? WAKE : openSync(pipe, O_RDONLY | O_NONBLOCK);
  // An end of our own, so that the pipe never ends.
  openSync(pipe, O_WRONLY | O_NONBLOCK);
  ownResources({ pipes: 1, timers: 0 });
  new Socket({ fd, readable: true, writable: false }).on("data", wake);
}

function isPassed(pipe) {
  try {
    const [passed, named] = [fstatSync(WAKE), statSync(pipe)];
    return passed.ino === named.ino && passed.dev === named.dev;
  } catch {
    return false;
  }
}

function start(folder) {
  process.umask(0o077);
  onFatal(exits.bug);
  surviveStrayErrors();
  const orders = new Orders(`${folder}/orders`);
  let host;
  const wake = () => {
    host ??= greet(folder, orders);
    host?.wake();
  };
  process.on("SIGTERM", () => (host ? host.suspend() : exits.done()));
  process.on("SIGUSR2", wake);
  later(() => {
    wake();
    // A short run needs no more orders, and is over before the time that this takes.
    setTimeout(() => listen(folder, wake).catch(exits.bug), OPEN_WAKE_AFTER_MS);
  });
}

/** Return the host that the first order asks for; undefined as long as there is none. */
function greet(folder, orders) {
  const hello = orders.first();
  if (hello === undefined) return undefined;
  process.chdir(hello.code);
  if (hello.capacity > 1) attributeOutput();
  return new Host(folder, hello, orders, exits);
}

if (typeof zlib.crc32 === "function") start(path.resolve(process.argv[2]));
else exits.bug(new Error(`node ${process.version} is too old: 20.15, 22.2 or newer is needed`));
