// Reads a journal in many variants, as the worker does: `node read_journals.mjs JOURNAL`, with lists of edits on standard input, one list a line.
// An edit is [from, to, bytes in base64]. Prints a line for each list: see verdict() in tests/faults/readers.py.

import fs from "node:fs";
import { createInterface } from "node:readline";

import { History } from "../../../runtimes/javascript/history.mjs";
import { decodeLines } from "../../../runtimes/javascript/lines.mjs";

const original = fs.readFileSync(process.argv[2]);
const texts = decodeLines(original).records.map((record) => JSON.stringify(record));

function edited(edits) {
  let bytes = original;
  for (const [from, to, text] of edits) bytes = Buffer.concat([bytes.subarray(0, from), Buffer.from(text, "base64"), bytes.subarray(to)]);
  return bytes;
}

function verdict(bytes) {
  let records;
  const history = new History();
  try {
    ({ records } = decodeLines(bytes));
    for (const record of records) history.accept(record);
  } catch {
    return "damage";
  }
  const same = records.length <= texts.length && records.every((record, index) => JSON.stringify(record) === texts[index]);
  return `${same ? "prefix" : "other"} ${records.length} ${history.accepted} ${history.claim} ${history.finished !== null}`;
}

const verdicts = [];
for await (const line of createInterface({ input: process.stdin })) verdicts.push(verdict(edited(JSON.parse(line))));
process.stdout.write(verdicts.map((line) => `${line}\n`).join(""));
