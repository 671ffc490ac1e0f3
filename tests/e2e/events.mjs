// What happens in the cluster reaches the WebSocket clients of a gateway.

import assert from "node:assert/strict";

import { a, b, check, settled } from "./harness/world.mjs";

check("a WebSocket client sees members leave and join, leaders and finished synchronisations", async () => {
  await settled();
  const client = await a.connect("operator.read");
  try {
    await b.call("distributed.leave_cluster");
    const left = await client.event("plugin.clawster.node_left", ({ node_id: id }) => id === "gateway-b");
    assert.equal(left.payload.reason, "left");

    await b.call("distributed.join_cluster");
    const joined = await client.event("plugin.clawster.node_joined", ({ node_id: id }) => id === "gateway-b");
    assert.ok(joined.payload.seq > left.payload.seq, "events are numbered in their order");

    await b.call("distributed.elect_leader", { candidate: "gateway-b", force: true });
    const elected = await client.event("plugin.clawster.leader_elected", ({ leader_id: id }) => id === "gateway-b");
    assert.equal(elected.payload.cluster, "openclaw");

    await a.call("distributed.sync_messages", { messages: ["an event of its own"], limit: 0 });
    const synced = await client.event("plugin.clawster.sync_complete", ({ direction }) => direction === "sent");
    assert.ok(synced.payload.count >= 1);
  } finally {
    client.close();
  }
});
