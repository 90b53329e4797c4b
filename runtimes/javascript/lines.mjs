// Lines, as journals, orders and inboxes hold them: the CRC-32 of the JSON, a space, the JSON, a newline.

import zlib from "node:zlib";

const { crc32 } = zlib;
const { parse } = JSON;
const NEWLINE = 10;
const JSON_START = 9;

/** A journal holds something that is neither a line nor a torn tail. */
export class DamageError extends Error {}

/** Return `json` as a line. */
export function encodeLine(json) {
  return `${crc32(json).toString(16).padStart(8, "0")} ${json}\n`;
}

/**
 * Return the records of the whole lines from `start` on, and where the last of them ends.
 * Throws DamageError, which names the line.
 */
export function decodeLines(bytes, start = 0) {
  const end = Math.max(bytes.lastIndexOf(NEWLINE) + 1, start);
  // What is no UTF-8 becomes other text, whose CRC does not fit.
  const text = bytes.utf8Slice(start, end);
  const records = [];
  for (let from = 0, to = text.indexOf("\n"); to !== -1; from = to + 1, to = text.indexOf("\n", from)) {
    records.push(decodeLine(text.slice(from, to), records.length + 1));
  }
  return { records, end };
}

function decodeLine(line, number) {
  const json = line.slice(JSON_START);
  if (line[JSON_START - 1] !== " " || parseInt(line.slice(0, JSON_START - 1), 16) !== crc32(json)) throw new DamageError(`line ${number}: the CRC does not fit`);
  const record = parse(json);
  if (typeof record !== "object" || record === null || typeof record.type !== "string") throw new DamageError(`line ${number} is not a record`);
  return record;
}
