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
  const records = [];
  let end = start;
  for (let next = bytes.indexOf(NEWLINE, end); next !== -1; next = bytes.indexOf(NEWLINE, end)) {
    records.push(decodeLine(bytes, end, next, records.length + 1));
    end = next + 1;
  }
  return { records, end };
}

function decodeLine(bytes, start, end, number) {
  const body = start + JSON_START;
  const sum = parseInt(bytes.latin1Slice(start, body - 1), 16);
  if (end <= body || bytes[body - 1] !== 32 || sum !== crc32(bytes.subarray(body, end))) throw new DamageError(`line ${number}: the CRC does not fit`);
  const record = parse(bytes.utf8Slice(body, end));
  if (typeof record !== "object" || record === null || typeof record.type !== "string") throw new DamageError(`line ${number} is not a record`);
  return record;
}
