// The plugin's settings on a real gateway, and what the node's process gets from the gateway.

import assert from "node:assert/strict";
import { existsSync, readFileSync, realpathSync } from "node:fs";
import { join } from "node:path";

import { a, b, check, settled, state } from "./harness/world.mjs";

check("the settings binary and configDir take paths with a tilde, and the node follows both", async () => {
  await settled();
  const [{ line }] = b.nodes();
  assert.ok(line.startsWith(join(b.home, "bin/clawster serve")), line);
  const { nodes } = await state(a);
  assert.equal(nodes.find(({ node_id: id }) => id === "gateway-b").name, "Name from configDir");
  assert.equal(realpathSync(join(b.state, "clawster/clawster")), realpathSync(join(b.home, "bin/clawster")));
});

check("the node's process gets no variable of the gateway that it does not read", { skip: !existsSync("/proc/self/environ") }, async () => {
  await settled();
  for (const gateway of [a, b]) {
    const names = readFileSync(`/proc/${gateway.nodes()[0].pid}/environ`, "utf8").split("\0").map((entry) => entry.split("=")[0]);
    assert.ok(names.includes("PATH") && names.includes("CLAWSTER_STATE_DIR"), names.join(" "));
    for (const name of ["MODEL_PROVIDER_KEY", "OPENCLAW_STATE_DIR", "npm_config_offline"]) assert.ok(!names.includes(name), name);
  }
  // gateway-b's Redis is known only by a variable that its secrets.json names.
  assert.match(readFileSync(`/proc/${b.nodes()[0].pid}/environ`, "utf8"), /PLACE_OF_REDIS=/);
});
