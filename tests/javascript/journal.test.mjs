import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, beforeEach, test } from "node:test";

// What the file system does instead of the real thing, by function; the journal keeps the functions that it finds when it is loaded.
const faults = {};
for (const name of ["writeSync", "fdatasyncSync", "fdatasync", "ftruncateSync"]) {
  const real = fs[name];
  fs[name] = (...args) => (faults[name] ?? real)(...args, real);
}
const { Journal } = await import("../../runtimes/javascript/journal.mjs");
const { decodeLines, encodeLine } = await import("../../runtimes/javascript/lines.mjs");

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "ty-journal-"));
after(() => fs.rmSync(folder, { recursive: true }));
let file;
let events;

beforeEach(() => {
  for (const name of Object.keys(faults)) delete faults[name];
  file = path.join(folder, `${Math.random()}`);
  events = [];
  fs.writeFileSync(file, line({ type: "order", claim: 0, seq: 1, at: "" }));
});

const line = (record) => encodeLine(JSON.stringify(record));
const records = () => decodeLines(fs.readFileSync(file)).records;
const failing = (code) => () => {
  throw Object.assign(new Error(code), { code });
};

function taken(claim = 1, worker = "w") {
  const journal = open();
  journal.take(claim, worker);
  return journal;
}

function open() {
  return new Journal(file, {
    onFull: () => events.push("full"),
    onBroken: (error) => {
      events.push(error.code);
      throw error;
    },
  });
}

test("records are lines with a CRC, a claim and a place in it", () => {
  const journal = taken();
  journal.append("requested", { key: "ä", kind: "step" });
  journal.append("completed", { key: "ä" }, ',"value":[1]');

  assert.deepEqual(records().slice(1).map(({ type, claim, seq }) => [type, claim, seq]), [["claim", 1, 1], ["requested", 1, 2], ["completed", 1, 3]]);
  assert.deepEqual(records()[3].value, [1]);
  assert.match(fs.readFileSync(file, "utf8").split("\n")[2], /^[0-9a-f]{8} \{"type":"requested","claim":1,"seq":2,"at":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z","key":"ä","kind":"step"\}$/);
  assert.equal(journal.length, fs.statSync(file).size);
});

test("no flipped bit goes unnoticed", () => {
  const bytes = Buffer.from(line({ type: "completed", claim: 1, seq: 2, key: "a", value: "Hello" }));
  for (let bit = 0; bit < (bytes.length - 1) * 8; bit++) {
    const flipped = Buffer.from(bytes);
    flipped[bit >> 3] ^= 1 << (bit & 7);
    let read;
    try {
      read = decodeLines(flipped).records;
    } catch {
      continue;
    }
    // The case of a digit of the CRC says nothing.
    if (read.length > 0) assert.deepEqual(read, decodeLines(bytes).records);
  }
});

test("every prefix of a journal is read as its whole lines", () => {
  const bytes = Buffer.from([1, 2, 3].map((seq) => line({ type: "x", claim: 1, seq })).join(""));
  for (let length = 0; length <= bytes.length; length++) {
    const { records: whole, end } = decodeLines(bytes.subarray(0, length));
    assert.equal(whole.length, bytes.subarray(0, length).filter((byte) => byte === 10).length);
    assert.ok(end <= length);
  }
});

test("of two claims with one number the first wins", () => {
  const second = open();
  faults.writeSync = (fd, text, real) => {
    delete faults.writeSync;
    fs.appendFileSync(file, line({ type: "claim", claim: 1, seq: 1, at: "", worker: "first", after: 1 }));
    return real(fd, text);
  };

  assert.throws(() => second.take(1, "second"), /claim 1 belongs to first/);
  assert.equal(records().length, 3);
});

test("a claim needs a journal that is whole, unfinished and not claimed since", () => {
  assert.throws(() => open().take(0, "w"), /claim 0 is not after claim 0/);
  const journal = taken(3);
  assert.throws(() => open().take(3, "x"), /claim 3 is not after claim 3/);
  journal.append("finished", { status: "completed" });
  assert.throws(() => open().take(4, "x"), /it has ended/);
  fs.appendFileSync(file, "torn");
  assert.throws(() => open().take(4, "x"), /it has ended|torn/);
  fs.writeFileSync(file, "");
  assert.throws(() => open().take(1, "x"), /it was never created/);
  fs.writeFileSync(file, "\0".repeat(100));
  assert.throws(() => open().take(1, "x"), /it was never created/);
});

test("records of older claims are skipped, and missing ones are noticed", () => {
  fs.appendFileSync(file, line({ type: "claim", claim: 1, seq: 1, at: "", worker: "a", after: 1 }));
  fs.appendFileSync(file, line({ type: "claim", claim: 2, seq: 1, at: "", worker: "b", after: 2 }));
  fs.appendFileSync(file, line({ type: "requested", claim: 1, seq: 2, at: "", key: "late", kind: "step" }));
  const journal = open();

  assert.equal(journal.take(3, "c").requests.length, 0);
  fs.appendFileSync(file, line({ type: "requested", claim: 3, seq: 3, at: "", key: "gap", kind: "step" }));
  assert.throws(() => open().take(4, "d"), /record 3 of claim 3 follows record 1 of claim 3/);
});

test("without space the line is taken back, nothing more is written, and the claim ends if it can", () => {
  const journal = taken();
  const before = fs.readFileSync(file);
  faults.writeSync = (fd, text, real) => real(fd, text.slice(0, 20));

  assert.equal(journal.append("completed", { key: "a" }), Infinity);
  assert.deepEqual(fs.readFileSync(file), before);
  assert.deepEqual([journal.full, events], [true, ["full"]]);
  delete faults.writeSync;
  assert.equal(journal.append("completed", { key: "a" }), Infinity);
  assert.equal(journal.releaseFull(3), true);
  assert.deepEqual(records().slice(-1).map(({ type, reason, seq, inbox }) => [type, reason, seq, inbox]), [["released", "no-space", 2, 3]]);
});

test("a file system that refuses the whole line is full as well", () => {
  for (const code of ["ENOSPC", "EDQUOT"]) {
    const journal = taken(code === "ENOSPC" ? 1 : 2);
    const before = fs.readFileSync(file);
    faults.writeSync = failing(code);
    assert.equal(journal.append("completed", { key: "a" }), Infinity);
    assert.equal(journal.releaseFull(0), false);
    delete faults.writeSync;
    assert.deepEqual(fs.readFileSync(file), before);
  }
});

test("any other failure of the storage is passed on at once", async () => {
  for (const [name, use] of [["writeSync", (journal) => journal.append("x")], ["fdatasyncSync", (journal) => journal.syncNow()]]) {
    const journal = taken(name === "writeSync" ? 1 : 2);
    faults[name] = failing("EIO");
    assert.throws(() => use(journal), /EIO/);
    delete faults[name];
  }
  assert.deepEqual(events, ["EIO", "EIO"]);
});

test("a sync counts only for what was written before it, and syncs asked for meanwhile are one", async () => {
  const journal = taken();
  let syncs = 0;
  const release = [];
  faults.fdatasync = (_fd, done) => {
    syncs += 1;
    release.push(done);
  };
  journal.append("a");
  const position = journal.size;
  const first = journal.sync();
  journal.append("b");
  const others = [journal.sync(), journal.sync(), journal.sync()];
  release.shift()(null);
  await first;
  assert.equal(journal.synced, position);
  await Promise.resolve();
  release.shift()(null);
  await Promise.all(others);

  assert.deepEqual([journal.synced, syncs], [journal.size, 2]);
});
