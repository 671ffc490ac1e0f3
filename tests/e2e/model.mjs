// What the agent's model can do and sees: it calls the cluster, and the next turn tells it what happened there.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";

import { a, b, check, PERMITS, provider, settled } from "./harness/world.mjs";

/** One turn of the main session's agent; returns when it is over. */
async function turn(message) {
  const client = await a.connect("operator.read", "operator.write");
  try {
    const { runId } = await client.request("chat.send", { sessionKey: "main", message, idempotencyKey: randomUUID() });
    const over = ({ runId: id, state }) => id === runId && ["final", "error", "aborted"].includes(state);
    const { payload } = await client.event("chat", over, 90_000);
    assert.equal(payload.state, "final", JSON.stringify(payload));
    return payload;
  } finally {
    client.close();
  }
}

/** All text of a request, with system prompt, history and results of tools. */
const text = (request) => JSON.stringify(request.messages);

check("a tool that the model calls reaches the cluster", async () => {
  await settled();
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
  const before = provider.requests.length;
  await turn("Anything new?");
  const asked = provider.requests.slice(before).map(text).join("\n");
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
