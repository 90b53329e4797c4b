import assert from "node:assert/strict";
import { test } from "node:test";

import { carryOutUnderKills } from "./support/fuzz.mjs";

const PROGRAMS = process.env.TYOW_FULL === "1" ? 2000 : 200;
const AT_ONCE = 32;

test(`${PROGRAMS} random programs under random kills and power cuts replay to the same end, and no completed step runs twice`, async () => {
  let next = 0;
  const kills = [];
  const lane = async () => {
    while (next < PROGRAMS) kills.push((await carryOutUnderKills(next++)).kills);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lane));

  assert.equal(kills.length, PROGRAMS);
  assert.ok(kills.reduce((sum, count) => sum + count) > PROGRAMS);
});
