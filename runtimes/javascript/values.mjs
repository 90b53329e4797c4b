// Values that cross the journal: plain JSON, the same live and in every replay, the same in both languages.

import { NotSerializableError } from "./errors.mjs";

const { stringify } = JSON;
const PLAIN_NAME = /^[A-Za-z_$][\w$]*$/;
const DEEPEST = 200;
const REFUSED = [
  [Map, "a Map: use a plain object or an array of pairs"],
  [Set, "a Set: use an array"],
  [ArrayBuffer, "bytes: use text, for example base64"],
  [WeakMap, "a WeakMap"],
  [WeakSet, "a WeakSet"],
  [Promise, "a promise: await it first"],
  [RegExp, "a regular expression: use its source"],
  [Error, "an error: use its message"],
];

/** Return `value` as JSON text. Throws NotSerializableError, which names the place by a path such as `$.items[2].price`. */
export function toJson(value) {
  return stringify(plain(value, "", []) ?? null);
}

/** Return how many bytes `text` takes in UTF-8 are more than `limit`. */
export function exceeds(text, limit) {
  if (text.length > limit) return true;
  return text.length * 3 > limit && new TextEncoder().encode(text).length > limit;
}

function plain(given, key, path) {
  if (ArrayBuffer.isView(given)) refuse(path, "bytes: use text, for example base64");
  const value = typeof given?.toJSON === "function" ? given.toJSON(key) : given;
  switch (typeof value) {
    case "string":
      if (!value.isWellFormed()) refuse(path, "text with a lone surrogate, which UTF-8 cannot hold");
      return value;
    case "number":
      return plainNumber(value, path);
    case "boolean":
    case "undefined":
      return value;
    case "object":
      return value === null ? null : plainObject(value, path);
    default:
      return refuse(path, value instanceof Object ? "a function" : `a ${typeof value}`);
  }
}

function plainNumber(value, path) {
  if (!Number.isFinite(value)) refuse(path, `${value}, which JSON cannot hold`);
  if (Number.isInteger(value) && Math.abs(value) >= 2 ** 53) refuse(path, `${value}: integers of 2^53 and beyond are not exact, use text`);
  return value === 0 ? 0 : value;
}

function plainObject(value, path) {
  for (const [kind, reason] of REFUSED) if (value instanceof kind) refuse(path, reason);
  if (value instanceof Number || value instanceof String || value instanceof Boolean) return plain(value.valueOf(), "", path);
  if (path.length >= DEEPEST) refuse(path, `nested deeper than ${DEEPEST} levels`);
  if (path.some((step) => step.holder === value)) refuse(path, "part of itself (a cycle)");
  return Array.isArray(value) ? plainArray(value, path) : plainMembers(value, path);
}

function plainArray(value, path) {
  const step = { holder: value, key: 0 };
  path.push(step);
  const result = new Array(value.length);
  for (let index = 0; index < value.length; index++) {
    step.key = index;
    result[index] = plain(value[index], String(index), path) ?? null;
  }
  path.pop();
  return result;
}

function plainMembers(value, path) {
  const step = { holder: value, key: "" };
  path.push(step);
  const result = {};
  for (const key of Object.keys(value)) {
    step.key = key;
    if (!key.isWellFormed()) refuse(path, "under a name with a lone surrogate");
    const member = plain(value[key], key, path);
    if (member === undefined) continue;
    if (key === "__proto__") Object.defineProperty(result, key, { value: member, enumerable: true });
    else result[key] = member;
  }
  path.pop();
  return result;
}

function refuse(path, reason) {
  const place = path.map(({ key }) => (typeof key === "number" ? `[${key}]` : PLAIN_NAME.test(key) ? `.${key}` : `[${stringify(key)}]`));
  throw new NotSerializableError(`$${place.join("")} is ${reason}`);
}
