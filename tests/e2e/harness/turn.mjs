// A turn of the agent of gateway-a's main session, and what the model was asked in it.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";

import { eventually } from "./wait.mjs";
import { a, provider } from "./world.mjs";

/**
 * One turn; returns all that the model was asked in it, as one text. Fails where OpenClaw breaks the turn off, as a gateway that has
 * just started does ("generation was superseded"): such a turn may have taken the agent's news along.
 */
export async function turn(message) {
  const before = provider.requests.length;
  const client = await a.connect("operator.read", "operator.write");
  try {
    const { runId } = await client.request("chat.send", { sessionKey: "main", message, idempotencyKey: randomUUID() });
    const over = ({ runId: id, state }) => id === runId && ["final", "error", "aborted"].includes(state);
    const { payload } = await client.event("chat", over, 90_000);
    assert.equal(payload.state, "final", JSON.stringify(payload));
  } finally {
    client.close();
  }
  return textOf(provider.requests.slice(before));
}

/** Waits until the gateway takes a turn to its end, which it may not do just after its start. */
export function takesTurns() {
  return eventually("a turn ends well", () => turn("Hello?"), 60_000);
}

/** What the model was asked in these requests: system prompts, history and results of tools. */
export function textOf(requests) {
  return requests.map(({ messages }) => JSON.stringify(messages)).join("\n");
}
