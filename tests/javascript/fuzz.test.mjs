import assert from "node:assert/strict";
import { test } from "node:test";

import { carryOutUnderKills } from "./support/fuzz.mjs";

const PROGRAMS = process.env.TYOW_FULL === "1" ? 2000 : 200;
const AT_ONCE = 32;

/** Carry out the programs of many seeds, and return what happened in sum. */
async function carryOutAll(options) {
  const sum = { programs: 0, kills: 0, refused: 0, differing: 0 };
  let seed = 0;
  const lane = async () => {
    while (seed < PROGRAMS) {
      const happened = await carryOutUnderKills(seed++, options);
      sum.programs += 1;
      for (const name of ["kills", "refused", "differing"]) sum[name] += happened[name];
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lane));
  return sum;
}

test(`${PROGRAMS} random programs under random kills and power cuts replay to the same end, and no completed step runs twice`, async () => {
  const { programs, kills, refused, differing } = await carryOutAll();

  assert.deepEqual([programs, refused, differing], [PROGRAMS, 0, 0]);
  assert.ok(kills > PROGRAMS);
});

test(`${PROGRAMS} random programs that wait for more than their calls run no completed step twice, and all but a few end alike`, async () => {
  const { programs, refused, differing } = await carryOutAll({ io: true });

  assert.equal(programs, PROGRAMS);
  assert.ok(refused + differing <= PROGRAMS / 100, `${refused} refused, ${differing} differing`);
});
