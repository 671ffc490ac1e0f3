// What the agent's model can do and sees: it calls the cluster, and the next turn tells it what happened there.

import assert from "node:assert/strict";

import { takesTurns, turn } from "./harness/turn.mjs";
import { a, b, check, PERMITS, provider, settled } from "./harness/world.mjs";

check("a tool that the model calls reaches the cluster", async () => {
  await settled();
  await takesTurns();
  const before = provider.requests.length;
  provider.reply = (request) => {
    if (request.messages.some(({ role }) => role === "tool")) return "I have looked.";
    return { tool: "tool_call", args: { id: "distributed.get_cluster_state", args: {} } };
  };
  try {
    await turn("Who is in the cluster?");
  } finally {
    provider.reply = () => "Understood.";
  }
  const result = provider.requests.slice(before).flatMap(({ messages }) => messages.filter(({ role }) => role === "tool")).at(-1);
  assert.match(JSON.stringify(result?.content ?? null), /gateway-b/);
});

check("the next turn tells the model who joined", async () => {
  await settled();
  const client = await a.connect("operator.read");
  try {
    await b.call("distributed.leave_cluster");
    await b.call("distributed.join_cluster");
    await client.event("plugin.clawster.node_joined", ({ node_id: id }) => id === "gateway-b");
  } finally {
    client.close();
  }
  const asked = await turn("Anything new?");
  assert.match(asked, /\[cluster\.node_joined\] #\d+ [^\n]*gateway-b/);
});

check("a turn takes a permit of the cluster before it asks the model", async () => {
  await settled();
  const { name, rate, perMs, burst } = PERMITS;
  const left = async () => (await b.call("distributed.take_permits", { name, rate, per_ms: perMs, burst })).remaining;
  const before = await left();
  await turn("Is there a permit?");
  const taken = before - (await left()) - 1;
  assert.ok(taken >= 1 && taken <= 3, `${taken} permits for a turn`);
});
