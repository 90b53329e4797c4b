async function workflow(input, { step, sleep }) {
  const greeting = await step("greet", () => `Hello, ${input.name}!`);
  await sleep("wait", 5000);
  return await step("complete", () => ({ message: greeting, timestamp: Date.now() }));
}
