// A gateway that dies with kill -9 is replaced as leader, comes back under its own id, and a gateway that stops leaves nothing behind.

import assert from "node:assert/strict";

import { alive } from "./harness/processes.mjs";
import { eventually } from "./harness/wait.mjs";
import { both, check, settled, state } from "./harness/world.mjs";

check("when the leader's gateway is killed, the other leads and says so; the dead one comes back under its id", async (context) => {
  const { leader, follower } = await settled();
  const family = leader.family();
  const began = performance.now();
  await leader.kill();
  await eventually("the other gateway's node leads", async () => (await state(follower)).role === "leader");
  context.diagnostic(`${follower.name} led ${Math.round(performance.now() - began)} ms after kill -9 of ${leader.name}`);
  const { stdout } = await follower.cli("distributed", "status");
  assert.match(stdout, new RegExp(`This node +${follower.name} \\(leader, process \\d+\\)`));
  await eventually("no process of the killed gateway is left", () => !family.some(alive));

  await leader.start();
  await settled();
  const { nodes } = await state(follower);
  assert.deepEqual(nodes.filter(({ status }) => status === "online").map(({ node_id: id }) => id).sort(), ["gateway-a", "gateway-b"]);
});

check("a gateway that is stopped leaves no process behind", async () => {
  const families = await Promise.all(both.map((gateway) => gateway.stop()));
  await eventually("all processes have ended", () => !families.flat().some(alive));
});
