// Draws coupon codes for a campaign and signs for them with a checksum.

import { checksum, draw } from "./codes.js";

export default async function workflow({ campaign, count }, { step }) {
  // Chance belongs in a step: what was drawn is recorded, and every replay gets the same codes.
  const codes = await step("draw codes", () => draw(campaign, count));
  return { campaign, codes, checksum: checksum(codes) };
}
