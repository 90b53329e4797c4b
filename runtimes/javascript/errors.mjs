// Errors of ours, and errors as records: what a journal keeps of one, and what is thrown to workflow code for it.

import { toJson } from "./values.mjs";

const { parse, stringify } = JSON;
const DEEPEST = 5;
const LONGEST_TEXT = 16_384;
const LARGEST_FIELDS = 65_536;
const OWN = new Set(["name", "message", "stack", "cause"]);
const OURS = new URL(".", import.meta.url).href;
const INTERNAL = /\(?node:internal\//;
const BUILT_IN = { Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError, AggregateError };

/** Thrown by workflow code: neither the step nor the body is tried again. */
export class NonRetryableError extends Error {
  static {
    this.prototype.name = "NonRetryableError";
  }
  get nonRetryable() {
    return true;
  }
}

/** A value cannot be recorded as JSON. */
export class NotSerializableError extends NonRetryableError {
  static {
    this.prototype.name = "NotSerializableError";
  }
}

/** A limit of the workflow was reached. */
export class LimitError extends NonRetryableError {
  static {
    this.prototype.name = "LimitError";
  }
}

/** The code asked for other calls than the journal holds. */
export class NonDeterminismError extends NonRetryableError {
  static {
    this.prototype.name = "NonDeterminismError";
  }
}

/** The code cannot be loaded, or holds no workflow function. */
export class LoadError extends NonRetryableError {
  static {
    this.prototype.name = "LoadError";
  }
}

/** A call was made from where none may be made. */
export class CallError extends NonRetryableError {
  static {
    this.prototype.name = "CallError";
  }
}

/** A step's worker died, and no try is left. */
export class CrashError extends NonRetryableError {
  static {
    this.prototype.name = "CrashError";
  }
}

/** A step was cut off, and nobody can say whether it had its effect. */
export class InDoubtError extends NonRetryableError {
  static {
    this.prototype.name = "InDoubtError";
  }
}

/** A child run did not complete. */
export class ChildError extends Error {
  static {
    this.prototype.name = "ChildError";
  }
}

/** A step, a wait or a run took longer than its timeout. */
export class TimeoutError extends Error {
  static {
    this.prototype.name = "TimeoutError";
  }
}

/** What an abort signal of a step carries when the run was canceled or its body has ended. */
export class AbortError extends Error {
  static {
    this.prototype.name = "AbortError";
  }
}

const FINAL = new Set(["NonRetryableError", "NotSerializableError", "LimitError", "NonDeterminismError", "LoadError", "CallError", "CrashError", "InDoubtError"]);

/** Say whether a recorded error rules out another try. */
export function isFinal(record) {
  return FINAL.has(record.name) || record.fields?.nonRetryable === true;
}

/** Return what the journal keeps of whatever was thrown: `{name, message, stack, fields, cause}`. Never throws. */
export function recordError(thrown, depth = 1) {
  try {
    return describe(thrown, depth);
  } catch {
    return { name: "Error", message: "an error that cannot be read was thrown" };
  }
}

function describe(thrown, depth) {
  if (!isError(thrown)) return { name: "Error", message: text(typeof thrown === "string" ? thrown : `thrown: ${jsonOr(thrown)}`) };
  const record = { name: text(thrown.name || "Error"), message: text(thrown.message) };
  if (typeof thrown.stack === "string") record.stack = text(usersPart(thrown.stack));
  const fields = fieldsOf(thrown, record.name);
  if (fields !== undefined) record.fields = fields;
  if (thrown.cause !== undefined && depth < DEEPEST) record.cause = recordError(thrown.cause, depth + 1);
  return record;
}

/** Return a stack without the lines of this worker, and of what called it. */
function usersPart(stack) {
  if (!stack.includes(OURS)) return stack;
  const kept = stack.split("\n").filter((line) => !line.startsWith("    at ") || !(line.includes(OURS) || INTERNAL.test(line)));
  return kept.join("\n");
}

function isError(value) {
  return value instanceof Error || (typeof value === "object" && value !== null && typeof value.message === "string" && typeof value.name === "string");
}

function fieldsOf(error, name) {
  const fields = {};
  for (const key of Object.keys(error)) if (!OWN.has(key)) keep(fields, key, error[key]);
  if (error.nonRetryable === true && !FINAL.has(name)) fields.nonRetryable = true;
  if (error instanceof AggregateError) keep(fields, "errors", error.errors.map((each) => text(String(each))));
  const size = stringify(fields).length;
  return size > 2 && size <= LARGEST_FIELDS ? fields : undefined;
}

function keep(fields, key, value) {
  if (value === undefined) return;
  try {
    fields[key] = parse(toJson(value));
  } catch {
    // What is no JSON value is no field.
  }
}

function jsonOr(value) {
  try {
    return toJson(value);
  } catch {
    return String(value);
  }
}

function text(value) {
  const whole = String(value).toWellFormed();
  return whole.length > LONGEST_TEXT ? `${whole.slice(0, LONGEST_TEXT).toWellFormed()}…` : whole;
}

/** Return the error that workflow code gets for a record: of the built-in class of that name, else an Error with that name. */
export function rebuildError(record) {
  const kind = Object.hasOwn(BUILT_IN, record.name) ? BUILT_IN[record.name] : record.name === "NonRetryableError" ? NonRetryableError : Error;
  const error = kind === AggregateError ? new AggregateError([], record.message) : new kind(record.message);
  if (error.name !== record.name) hidden(error, "name", record.name);
  hidden(error, "stack", record.stack ?? `${record.name}: ${record.message}`);
  for (const [key, value] of Object.entries(record.fields ?? {})) if (!OWN.has(key)) own(error, key, value);
  if (record.cause !== undefined) hidden(error, "cause", rebuildError(record.cause));
  return error;
}

function hidden(error, name, value) {
  Object.defineProperty(error, name, { value, writable: true, configurable: true });
}

function own(error, name, value) {
  Object.defineProperty(error, name, { value, writable: true, configurable: true, enumerable: true });
}
