import assert from "node:assert/strict";
import { test } from "node:test";

import { exceeds, toJson } from "../../runtimes/javascript/values.mjs";

const back = (value) => JSON.parse(toJson(value));

test("plain values come back as they are", () => {
  for (const value of [null, true, "", "ä🎉", 0, -1.5, 2 ** 53 - 1, -(2 ** 53) + 1, 5e-324, [], {}, [1, [2, { a: null }]], { "a b": { "": 1 } }]) {
    assert.deepEqual(back(value), value);
  }
});

test("undefined is null at the top and in arrays, and dropped from objects", () => {
  assert.equal(back(undefined), null);
  assert.deepEqual(back([undefined, , 1]), [null, null, 1]); // eslint-disable-line no-sparse-arrays
  assert.deepEqual(back({ a: undefined, b: 1 }), { b: 1 });
});

test("toJSON applies, once, with the key", () => {
  assert.equal(back(new Date(0)), "1970-01-01T00:00:00.000Z");
  assert.deepEqual(back({ a: { toJSON: (key) => [key] } }), { a: ["a"] });
});

test("minus zero is zero, boxed values are values, instances are their members", () => {
  assert.ok(Object.is(back(-0), 0));
  assert.deepEqual(back([new Number(1), new String("a"), new Boolean(false)]), [1, "a", false]);
  assert.deepEqual(back(new (class Point { x = 1; })()), { x: 1 });
});

test("a member called __proto__ is a member", () => {
  assert.equal(toJson(JSON.parse('{"__proto__": {"a": 1}}')), '{"__proto__":{"a":1}}');
});

test("the same object twice is no cycle", () => {
  const shared = { a: 1 };
  assert.deepEqual(back([shared, shared]), [shared, shared]);
});

test("what JSON cannot hold is refused, with its place", () => {
  const cycle = { list: [] };
  cycle.list.push(cycle);
  const cases = [
    [NaN, "$ is NaN"],
    [{ items: [1, 2, { price: Infinity }] }, "$.items[2].price is Infinity"],
    [[2 ** 53], "$[0] is 9007199254740992: integers"],
    [{ "a b": -(2 ** 53) }, '$["a b"] is -9007199254740992'],
    [1e300, "$ is 1e+300"],
    ["\ud800", "$ is text with a lone surrogate"],
    [{ "\udc00": 1 }, "$ is under a name with a lone surrogate".replace("$ is", '$["\\udc00"] is')],
    [new Map(), "$ is a Map"],
    [{ a: new Set() }, "$.a is a Set"],
    [Buffer.from("x"), "$ is bytes"],
    [new Float64Array(1), "$ is bytes"],
    [new ArrayBuffer(1), "$ is bytes"],
    [1n, "$ is a bigint"],
    [() => 1, "$ is a function"],
    [{ f() {} }, "$.f is a function"],
    [Symbol("s"), "$ is a symbol"],
    [{ p: Promise.resolve() }, "$.p is a promise: await it first"],
    [/x/, "$ is a regular expression"],
    [{ e: new TypeError("x") }, "$.e is an error"],
    [cycle, "$.list[0] is part of itself"],
  ];
  for (const [value, message] of cases) {
    assert.throws(() => toJson(value), (error) => error.name === "NotSerializableError" && error.message.startsWith(message), message);
  }
});

test("what is nested too deep is refused", () => {
  let deep = 1;
  for (let level = 0; level < 200; level++) deep = [deep];

  assert.deepEqual(back(deep), deep);
  assert.throws(() => toJson([deep]), /nested deeper than 200 levels/);
});

test("a limit counts bytes of UTF-8", () => {
  assert.equal(exceeds("ää", 4), false);
  assert.equal(exceeds("ää", 3), true);
  assert.equal(exceeds("a".repeat(10), 10), false);
  assert.equal(exceeds("a".repeat(11), 10), true);
});
