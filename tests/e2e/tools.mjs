// The five methods as tools of the gateway: over HTTP, over the gateway's own method, and with bad arguments.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { binary } from "./harness/places.mjs";
import { run } from "./harness/processes.mjs";
import { eventually } from "./harness/wait.mjs";
import { a, b, check, redis, settled, state } from "./harness/world.mjs";

check("distributed.get_cluster_state shows both members", async () => {
  await settled();
  const seen = await state(a, { fresh: true });
  assert.deepEqual(seen.nodes.map(({ node_id: id }) => id).sort(), ["gateway-a", "gateway-b"]);
  assert.equal(seen.node_id, "gateway-a");
});

check("distributed.elect_leader names the leader, and hands over when forced to", async () => {
  const { leader, follower } = await settled();
  const same = await leader.call("distributed.elect_leader");
  assert.deepEqual([same.leader_id, same.changed], [leader.name, false]);
  const other = await leader.call("distributed.elect_leader", { candidate: follower.name, force: true });
  assert.deepEqual([other.leader_id, other.changed], [follower.name, true]);
  assert.ok(other.term > same.term, "terms rise");
});

check("distributed.leave_cluster and distributed.join_cluster leave and come back", async () => {
  await settled();
  const left = await b.call("distributed.leave_cluster");
  assert.equal(left.node_id, "gateway-b");
  const { status, body } = await b.post("distributed.leave_cluster");
  assert.equal(status, 400);
  assert.match(body.error.message, /not a member/);
  const joined = await b.call("distributed.join_cluster", { capabilities: ["gpu"] });
  assert.equal(joined.node_id, "gateway-b");
  await eventually("gateway-a sees what gateway-b can do", async () => {
    const { nodes } = await state(a);
    return nodes.some((node) => node.node_id === "gateway-b" && node.status === "online" && node.capabilities.includes("gpu"));
  });
});

check("the gateway's own method tools.invoke reaches all five", async () => {
  await settled();
  const client = await a.connect("operator.read", "operator.write", "operator.admin");
  const calls = { sync_messages: { limit: 0 }, get_cluster_state: {}, elect_leader: {}, leave_cluster: {}, join_cluster: {} };
  try {
    for (const [method, args] of Object.entries(calls)) {
      const answer = await client.request("tools.invoke", { name: `distributed.${method}`, args });
      assert.equal(answer.ok, true, `${method}: ${JSON.stringify(answer)}`);
    }
  } finally {
    client.close();
  }
});

check("openclaw gateway call tools.invoke answers with the state", async () => {
  await settled();
  const params = JSON.stringify({ name: "distributed.get_cluster_state", args: {} });
  const answer = await a.json("gateway", "call", "tools.invoke", "--params", params, "--token", a.token, "--json");
  assert.equal(answer.ok, true, JSON.stringify(answer));
  assert.match(JSON.stringify(answer), /"node_id\W+gateway-a/);
});

check("bad arguments give HTTP 400 with the program's own message", async () => {
  const bad = { limit: "many" };
  const { status, body } = await a.post("distributed.sync_messages", bad);
  assert.equal(status, 400, JSON.stringify(body));
  assert.equal(body.error.message, await messageOfProgram("distributed.sync_messages", bad));
});

check("an unknown argument is refused, too", async () => {
  const bad = { fersh: true };
  const { status, body } = await a.post("distributed.get_cluster_state", bad);
  assert.equal(status, 400, JSON.stringify(body));
  assert.equal(body.error.message, await messageOfProgram("distributed.get_cluster_state", bad));
});

/** What `clawster serve` itself, in a cluster of its own, answers to such a call. */
async function messageOfProgram(method, params) {
  const folder = mkdtempSync(join(tmpdir(), "clawster-e2e-own-"));
  const env = { PATH: process.env.PATH, HOME: folder, REDIS_URL: redis.url, CLAWSTER__CLUSTER__NAME: "own" };
  try {
    const input = `${JSON.stringify({ jsonrpc: "2.0", id: 1, method, params })}\n`;
    const { stdout } = await run(binary, ["serve"], { env, cwd: folder, input });
    return JSON.parse(stdout).error.message;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
