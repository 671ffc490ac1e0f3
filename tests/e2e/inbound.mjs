// A message that both gateways receive reaches one agent.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

import { eventually } from "./harness/wait.mjs";
import { both, check, provider, settled, SHARED, telegram } from "./harness/world.mjs";

check("a message that is pushed to both gateways gives one run of an agent", async () => {
  await settled();
  const tokens = Object.values(SHARED);
  const replies = () => telegram.sent.filter(({ token, method }) => tokens.includes(token) && method === "sendMessage").length;
  for (const [count, [text, messageId]] of [["What about the first-of-both?", 501], ["What about the second-of-both?", 502]].entries()) {
    for (const token of tokens) telegram.push(token, { text, messageId });
    await eventually("an agent replies", () => replies() > count, 120_000);
  }
  // A gateway takes its messages in their order: when it has confirmed the second one, it has decided about the first one.
  await eventually("both gateways have taken both messages", () => tokens.every((token) => telegram.bot(token).queue.length === 0), 60_000);
  const dropped = () => both.map((gateway) => readFileSync(gateway.log, "utf8").match(/dropped a message of telegram that/g)?.length ?? 0);
  await eventually("the other gateway dropped each message", () => dropped().reduce((sum, count) => sum + count, 0) === 2, 60_000);
  assert.equal(replies(), 2, "one reply a message");
  const first = provider.requests.map(({ messages }) => JSON.stringify(messages)).filter((text) => text.includes("first-of-both") && !text.includes("second-of-both"));
  assert.equal(first.length, 1, "one run of an agent for the first message");
});
