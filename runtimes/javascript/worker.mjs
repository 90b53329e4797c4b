// The JavaScript worker: `node worker.mjs W` hosts the runs that the orders in the folder W name. See ../PROTOCOL.md.

import fs from "node:fs";
import path from "node:path";

import { later, onFatal, ownPipes } from "./clock.mjs";
import { Host } from "./host.mjs";
import { Orders } from "./orders.mjs";
import { attributeOutput, report } from "./output.mjs";

const WAKE = 4;
const STORAGE_FAILED = 70;
const OPEN_WAKE_AFTER_MS = 5;
const { fstatSync, openSync, statSync } = fs;
const { O_NONBLOCK, O_WRONLY } = fs.constants;
const reallyExit = process.reallyExit.bind(process);
const emit = process.emit.bind(process);
const { setTimeout } = globalThis;

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

/** Call `wake` for every byte in the pipe W/wake, if descriptor 4 is its read end. */
async function listen(folder, wake) {
  const pipe = `${folder}/wake`;
  if (!isPassed(pipe)) return;
  // An end of our own, so that the pipe never ends.
  openSync(pipe, O_WRONLY | O_NONBLOCK);
  const { Socket } = await import("node:net");
  new Socket({ fd: WAKE, readable: true, writable: false }).on("data", wake);
}

function isPassed(pipe) {
  try {
    return fstatSync(WAKE).ino === statSync(pipe).ino;
  } catch {
    return false;
  }
}

function start(folder) {
  process.umask(0o077);
  onFatal(exits.bug);
  surviveStrayErrors();
  ownPipes(1);
  const orders = new Orders(`${folder}/orders`);
  let host;
  const wake = () => {
    host ??= greet(orders);
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
function greet(orders) {
  const hello = orders.first();
  if (hello === undefined) return undefined;
  process.chdir(hello.code);
  if (hello.capacity > 1) attributeOutput();
  return new Host(hello, orders, exits);
}

start(path.resolve(process.argv[2]));
