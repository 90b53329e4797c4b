import assert from "node:assert/strict";
import { test } from "node:test";

import { milliseconds } from "../../runtimes/javascript/durations.mjs";

test("numbers are milliseconds, rounded up", () => {
  assert.equal(milliseconds(0, "x"), 0);
  assert.equal(milliseconds(5000, "x"), 5000);
  assert.equal(milliseconds(1.2, "x"), 2);
});

test("text is numbers with units", () => {
  const cases = { "500ms": 500, "30s": 30_000, "1h30m": 5_400_000, "7d": 604_800_000, "1.5s": 1500, "1m500ms": 60_500, "0s": 0, "36500d": 36_500 * 86_400_000 };
  for (const [text, expected] of Object.entries(cases)) assert.equal(milliseconds(text, "x"), expected, text);
});

test("anything else is a TypeError that names the argument", () => {
  for (const value of [-1, NaN, Infinity, "", "5", "5 s", " 5s", "s", "-5s", "5S", "1e3s", "5s!", "5w", null, undefined, {}, [], true, 5n, () => 5]) {
    assert.throws(() => milliseconds(value, "sleep(name, duration): duration"), (error) => error instanceof TypeError && error.message.startsWith("sleep(name, duration): duration must be milliseconds or text such as"));
  }
  assert.throws(() => milliseconds("36501d", "x"), /x is longer than a hundred years: "36501d"/);
});
