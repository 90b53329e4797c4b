// Makes the values that descriptions tell of, and texts by which values can be compared between the languages.

import crypto from "node:crypto";

const view = new DataView(new ArrayBuffer(8));

class Instance {
  constructor(value) {
    this.value = value;
  }
}

const MAKERS = {
  float: ({ bits }) => (view.setBigUint64(0, BigInt(`0x${bits}`)), view.getFloat64(0)),
  int: ({ text }) => Number(text),
  bigint: ({ text }) => BigInt(text),
  decimal: ({ text }) => ({ toJSON: () => text }),
  undefined: () => undefined,
  date: ({ ms }) => new Date(ms),
  bytes: ({ hex }) => Buffer.from(hex, "hex"),
  buffer: ({ hex }) => new Uint8Array(Buffer.from(hex, "hex")).buffer,
  list: ({ items }) => items.map(build),
  tuple: ({ items }) => Object.freeze(items.map(build)),
  set: ({ items }) => new Set(items.map(build)),
  map: ({ items }) => new Map(items.map((item) => [item, build(item)])),
  dict: ({ items }) => members({}, items),
  bare: ({ items }) => members(Object.create(null), items),
  instance: ({ value }) => new Instance(build(value)),
  numbered: ({ value }) => ({ 1: build(value) }),
  boxed: ({ value }) => Object(value),
  regexp: () => /x/,
  error: () => new Error("x"),
  function: () => () => 1,
  class: () => Instance,
  symbol: () => Symbol("x"),
  promise: () => Promise.resolve(1),
  deep: ({ levels }) => nest(levels),
  cycle: ({ via }) => cycle(via),
};

/** Return the value of a description. */
export function build(description) {
  return description !== null && typeof description === "object" ? MAKERS[description.$](description) : description;
}

function members(target, items) {
  for (const [key, item] of items) Object.defineProperty(target, key, { value: build(item), enumerable: true, writable: true, configurable: true });
  return target;
}

function nest(levels) {
  let value = 1;
  for (let level = 0; level < levels; level++) value = level % 2 === 0 ? [value] : { a: value };
  return value;
}

function cycle(via) {
  const value = via === "list" ? [] : {};
  value[via === "list" ? 0 : "self"] = value;
  return value;
}

/** Return a text that is the same for equal JSON values, in whatever language and order of members. */
export function canonical(value) {
  if (value === null) return "n";
  if (typeof value === "boolean") return value ? "t" : "f";
  if (typeof value === "string") return `s${units(value)}`;
  if (typeof value === "number") {
    view.setFloat64(0, value);
    return `d${view.getBigUint64(0).toString(16).padStart(16, "0")}`;
  }
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (Object.getPrototypeOf(value) !== Object.prototype) return "another prototype";
  const texts = Object.keys(value).map((key) => `${units(key)}:${canonical(value[key])}`);
  return `{${texts.sort().join(",")}}`;
}

function units(text) {
  return Array.from({ length: text.length }, (_, index) => text.charCodeAt(index).toString(16).padStart(4, "0")).join("");
}

/** Return a short text for a long one. */
export function digest(text) {
  return crypto.createHash("sha256").update(text).digest("hex").slice(0, 16);
}
