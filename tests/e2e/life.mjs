// The node's process follows its gateway: it comes back when it dies, and survives a reload of the plugin.

import assert from "node:assert/strict";

import { eventually } from "./harness/wait.mjs";
import { a, check, settled, state } from "./harness/world.mjs";

check("a node whose process is killed is started again under the same id", async () => {
  await settled();
  const [before] = a.nodes();
  process.kill(before.pid, "SIGKILL");
  await eventually("another process runs", () => a.nodes().some(({ pid }) => pid !== before.pid));
  await settled();
  assert.equal((await state(a)).node_id, "gateway-a");
});

check("openclaw plugins reload leaves one node running", async () => {
  const { code, stdout, stderr } = await a.cli("plugins", "reload", "clawster");
  assert.equal(code, 0, stdout + stderr);
  await settled();
  assert.equal((await state(a)).node_id, "gateway-a");
  await eventually("one process of the node", () => a.nodes().length === 1);
});
