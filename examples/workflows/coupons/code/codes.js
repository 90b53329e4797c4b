import { createHash } from "node:crypto";
import { customAlphabet } from "nanoid"; // from package.json; the lock file says exactly which

const letters = customAlphabet("ABCDEFGHJKLMNPQRSTUVWXYZ23456789", 8); // nothing that looks like something else

export function draw(campaign, count) {
  const codes = new Set();
  while (codes.size < count) codes.add(`${campaign.toUpperCase()}-${letters()}`);
  return [...codes];
}

export function checksum(codes) {
  return createHash("sha256").update(codes.join("\n")).digest("hex").slice(0, 16);
}
