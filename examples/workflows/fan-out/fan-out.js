// Asks several suppliers at the same time, and takes the cheapest answer.

import { setTimeout as pause } from "node:timers/promises";

export default async function workflow({ product, suppliers }, { step }) {
  const quotes = await Promise.all(
    suppliers.map((supplier) =>
      // Each step is recorded on its own. One that fails is tried again by itself; the others are not disturbed.
      // A step function with a parameter gets the number of its try, an idempotency key, an abort signal and more.
      step(`quote from ${supplier.name}`, ({ attempt, signal }) => ask(supplier, product, attempt, signal)),
    ),
  );
  const best = quotes.reduce((cheapest, quote) => (quote.price < cheapest.price ? quote : cheapest));
  return { product, best, quotes };
}

// Stands for a call over the network: it takes a moment, and the flaky supplier does not answer the first time.
async function ask({ name, price, flaky }, product, attempt, signal) {
  await pause(300, undefined, { signal });
  if (flaky && attempt === 1) throw new Error(`${name} does not answer`);
  console.log(`${name} sells a ${product} for ${price}, said on try ${attempt}`); // `logs run/fan-out-teapot` shows it
  return { supplier: name, price, attempt };
}
