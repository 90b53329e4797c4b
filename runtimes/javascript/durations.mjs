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
