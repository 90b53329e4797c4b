import assert from "node:assert/strict";
import { test } from "node:test";

import { NonRetryableError, TimeoutError, isFinal, rebuildError, recordError } from "../../runtimes/javascript/errors.mjs";

const again = (error) => rebuildError(JSON.parse(JSON.stringify(recordError(error))));

test("a built-in class is kept", () => {
  for (const kind of [Error, TypeError, RangeError, SyntaxError, ReferenceError, EvalError, URIError]) {
    const error = again(new kind("why"));

    assert.ok(error instanceof kind);
    assert.deepEqual([error.name, error.message], [kind.name, "why"]);
  }
});

test("any other class becomes an Error with that name, its fields, cause and stack", () => {
  class CardDeclined extends Error {
    name = "CardDeclined";
    code = 402;
    when = new Date(0);
    skip = () => 1;
  }
  const thrown = new CardDeclined("no money", { cause: new RangeError("limit", { cause: "text" }) });
  const error = again(thrown);

  assert.ok(error instanceof Error);
  assert.deepEqual([error.name, error.message, error.code, error.when, error.skip], ["CardDeclined", "no money", 402, "1970-01-01T00:00:00.000Z", undefined]);
  assert.equal(error.stack, thrown.stack);
  assert.ok(error.cause instanceof RangeError);
  assert.equal(error.cause.cause.message, "text");
  assert.deepEqual(Object.keys(error), ["code", "when"]);
});

test("a record says whether another try makes sense", () => {
  class Declined extends NonRetryableError {
    name = "Declined";
  }
  assert.equal(isFinal(recordError(new NonRetryableError("x"))), true);
  assert.equal(isFinal(recordError(new Declined("x"))), true);
  assert.equal(isFinal(recordError(Object.assign(new Error("x"), { nonRetryable: true }))), true);
  assert.equal(isFinal(recordError(Object.assign(new Error("x"), { nonRetryable: "yes" }))), false);
  assert.equal(isFinal(recordError(new TimeoutError("x"))), false);
  assert.ok(again(new NonRetryableError("x")) instanceof NonRetryableError);
  assert.equal(isFinal(recordError(again(new Declined("x")))), true);
});

test("whatever is thrown can be recorded", () => {
  assert.deepEqual(recordError("text"), { name: "Error", message: "text" });
  assert.deepEqual(recordError(undefined), { name: "Error", message: "thrown: null" });
  assert.deepEqual(recordError({ code: 5 }), { name: "Error", message: 'thrown: {"code":5}' });
  assert.equal(recordError(Object.create(null, { message: { get() { throw new Error("trap"); } }, name: { value: "x" } })).message, "an error that cannot be read was thrown");
  assert.equal(recordError(new Error("\ud800")).message, "\ufffd");
});

test("records are of bounded size", () => {
  const large = Object.assign(new Error("x".repeat(1e6)), { body: "y".repeat(1e6) });
  let deep = new Error("0");
  for (let level = 1; level < 20; level++) deep = new Error(String(level), { cause: deep });

  assert.ok(JSON.stringify(recordError(large)).length < 40_000);
  assert.equal(JSON.stringify(recordError(deep)).match(/"message"/g).length, 5);
});

test("the errors of Promise.any are named", async () => {
  const error = again(await Promise.any([Promise.reject(new TypeError("a")), Promise.reject(new Error("b"))]).catch((reason) => reason));

  assert.ok(error instanceof AggregateError);
  assert.deepEqual(error.errors, ["TypeError: a", "Error: b"]);
});
