// The machine's clock and the turns of the event loop, kept from start-up on: user code may replace the globals.

import fs from "node:fs";

const { setTimeout, clearTimeout, setImmediate, Date: RealDate } = globalThis;
const { toISOString } = RealDate.prototype;
const { performance } = globalThis;
const activeResources = process.getActiveResourcesInfo.bind(process);

// Timers count monotonic time and overflow at 2^31 ms; a machine that was asleep is noticed this much later at most.
const LONGEST_TIMER = 30_000;

const own = { turns: 0, syncs: 0, pipes: 0, timers: 0 };
let fatal = (error) => {
  throw error;
};

/** Return the present instant in milliseconds. */
export const now = RealDate.now.bind(RealDate);

/** Return milliseconds that only ever grow. */
export const elapsed = performance.now.bind(performance);

let stamped = NaN;
let text = "";

/** Return an instant as records carry it. */
export function stamp(instant) {
  if (instant !== stamped) {
    text = toISOString.call(new RealDate(instant));
    stamped = instant;
  }
  return text;
}

/** Let `handler` have what our own callbacks throw: it is a bug of ours, never of user code. */
export function onFatal(handler) {
  fatal = handler;
}

function guarded(action) {
  try {
    action();
  } catch (error) {
    fatal(error);
  }
}

/** Run `action` in the next turn of the event loop, when microtasks are done. */
export function later(action) {
  own.turns += 1;
  setImmediate(turn, action);
}

function turn(action) {
  own.turns -= 1;
  guarded(action);
}

/** Run `action` at `instant` by the machine's clock, never earlier. Returns what cancels it. */
export function at(instant, action) {
  let timer;
  const look = () => {
    const left = instant - now();
    if (left > 0) timer = wait(left, look);
    else guarded(action);
  };
  timer = wait(Math.max(0, instant - now()), look);
  return () => clearTimeout(timer);
}

/** Run `action` after `ms`. Returns what cancels it. */
export function after(ms, action) {
  let timer;
  let left = ms;
  const look = () => {
    left -= LONGEST_TIMER;
    if (left > 0) timer = wait(left, look);
    else guarded(action);
  };
  timer = wait(left, look);
  return () => clearTimeout(timer);
}

function wait(ms, action) {
  // Unreferenced, so that our timers are not taken for something that user code waits for.
  return setTimeout(action, Math.min(ms, LONGEST_TIMER)).unref();
}

/** Count a sync of a journal that is under way; call the result when it is done. */
export function syncing() {
  own.syncs += 1;
  return () => (own.syncs -= 1);
}

/** Say how many pipes and timers are ours: the wake pipe, what keeps the process, and standard output where it is a pipe. */
export function ownResources({ pipes, timers }) {
  own.pipes = pipes + [1, 2].filter(isPipe).length;
  own.timers = timers;
}

function isPipe(fd) {
  try {
    return fs.fstatSync(fd).isFIFO();
  } catch {
    return false;
  }
}

/** Say whether anything but our own is pending in the process: I/O, timers or children of user code. */
export function foreign() {
  const left = { FSReqCallback: own.syncs, Immediate: own.turns, PipeWrap: own.pipes, Timeout: own.timers, TTYWrap: 3, CloseReq: Infinity };
  return activeResources().some((kind) => !(left[kind]-- > 0));
}
