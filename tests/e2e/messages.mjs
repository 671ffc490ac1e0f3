// A message that one gateway sends is received on the other.

import assert from "node:assert/strict";

import { a, b, check, settled } from "./harness/world.mjs";

check("a message sent on one gateway arrives on the other, once", async () => {
  await settled();
  const message = { id: `note-${process.pid}`, topic: "e2e", to: ["gateway-b"], payload: { text: "hello across gateways" } };
  const sent = await a.call("distributed.sync_messages", { messages: [message], limit: 0 });
  assert.equal(sent.published, 1);
  const again = await a.call("distributed.sync_messages", { messages: [message], limit: 0 });
  assert.deepEqual([again.published, again.duplicates], [0, 1]);

  const { received } = await b.call("distributed.sync_messages", { wait_ms: 10_000 });
  const [got, ...more] = received.filter(({ topic }) => topic === "e2e");
  assert.deepEqual([got.id, got.from, got.payload], [message.id, "gateway-a", message.payload]);
  assert.deepEqual(more, []);
});
