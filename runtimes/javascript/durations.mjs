// Durations as workflow code writes them: a number of milliseconds, or text such as "500ms", "30s", "1h30m", "7d".

const UNITS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const WHOLE = /^(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+$/;
const PART = /(\d+(?:\.\d+)?)(ms|s|m|h|d)/g;
const LONGEST = 36_500 * UNITS.d;

/** Return `value` in whole milliseconds, rounded up. Throws a TypeError that begins with `what`. */
export function milliseconds(value, what) {
  const length = typeof value === "string" ? read(value) : value;
  if (typeof length !== "number" || !(length >= 0) || length === Infinity) {
    throw new TypeError(`${what} must be milliseconds or text such as "500ms", "30s", "1h30m" or "7d", got ${shown(value)}`);
  }
  if (length > LONGEST) throw new TypeError(`${what} is longer than a hundred years: ${shown(value)}`);
  return Math.ceil(length);
}

function read(text) {
  if (!WHOLE.test(text)) return NaN;
  let total = 0;
  for (const [, number, unit] of text.matchAll(PART)) total += Number(number) * UNITS[unit];
  return total;
}

/** Describe a value in an error message: text in quotes, numbers as they are, else its type. */
export function shown(value) {
  if (typeof value === "string") return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value);
  if (typeof value === "number" || typeof value === "boolean" || value === null || value === undefined) return String(value);
  if (typeof value === "function") return "a function";
  return Array.isArray(value) ? "an array" : `a value of type ${typeof value}`;
}

const WITH_ZONE = /^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:[Zz]|[+-]\d\d:?\d\d)$/;
const parseInstant = Date.parse;
const { getTime } = Date.prototype;
const [FIRST, LAST] = [-62_135_596_800_000, 253_402_300_799_999];

/** Return the instant that `value` tells in ms since 1970, rounded up. Throws a TypeError that begins with `what`. */
export function instantOf(value, what) {
  const instant = Math.ceil(value instanceof Date ? getTime.call(value) : typeof value === "string" ? readInstant(value) : typeof value === "number" ? value : NaN);
  if (instant >= FIRST && instant <= LAST) return instant;
  const given = value instanceof Date ? "a Date beyond that" : shown(value);
  throw new TypeError(`${what} must be a Date, milliseconds since 1970 or text with a zone such as "2026-11-22T14:37:00Z", got ${given}`);
}

function readInstant(text) {
  if (!WITH_ZONE.test(text)) return NaN;
  // Fractions beyond milliseconds are cut off by what reads it, and would end early.
  const exact = text.toUpperCase().replace(" ", "T").replace(/([+-]\d\d)(\d\d)$/, "$1:$2");
  const cut = exact.replace(/(\.\d{3})\d+/, "$1");
  return parseInstant(cut) + (/\.\d{3}\d*[1-9]/.test(exact) ? 1 : 0);
}
