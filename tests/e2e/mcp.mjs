// `clawster mcp` with clients that others wrote: the official SDK, the official Inspector, and OpenClaw itself.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";

import { binary, load, program } from "./harness/places.mjs";
import { run } from "./harness/processes.mjs";
import { eventually } from "./harness/wait.mjs";
import { a, check, settled } from "./harness/world.mjs";

const TOOLS = ["sync_messages", "get_cluster_state", "elect_leader", "join_cluster", "leave_cluster"].map((name) => `distributed_${name}`);

function includes(names, suffixes) {
  for (const suffix of suffixes) assert.ok(names.some((name) => name.endsWith(suffix)), `${suffix} is not among ${names.join(", ")}`);
}

/** Calls `use(client, notes)` with an SDK client that speaks to `clawster mcp` on gateway-a's host. */
async function withClient(use) {
  const { Client } = await load("@modelcontextprotocol/sdk/client/index.js");
  const { StdioClientTransport } = await load("@modelcontextprotocol/sdk/client/stdio.js");
  const { ResourceUpdatedNotificationSchema, LoggingMessageNotificationSchema } = await load("@modelcontextprotocol/sdk/types.js");
  const client = new Client({ name: "clawster-e2e", version: "1.0.0" });
  const notes = { updated: [], messages: [] };
  client.setNotificationHandler(ResourceUpdatedNotificationSchema, ({ params }) => void notes.updated.push(params.uri));
  client.setNotificationHandler(LoggingMessageNotificationSchema, ({ params }) => void notes.messages.push(params));
  await client.connect(new StdioClientTransport({ command: binary, args: ["mcp"], env: a.env, cwd: a.home, stderr: "ignore" }));
  try {
    return await use(client, notes);
  } finally {
    await client.close();
  }
}

check("the SDK's client initialises, lists and calls tools, and sees a refusal as one", async () => {
  await settled();
  await withClient(async (client) => {
    assert.equal(client.getServerVersion().name, "clawster");
    const { tools } = await client.listTools();
    includes(tools.map(({ name }) => name), TOOLS);
    for (const { name, inputSchema, outputSchema } of tools) assert.ok(inputSchema && outputSchema, `${name} has both schemas`);

    const { structuredContent } = await client.callTool({ name: "distributed_get_cluster_state", arguments: {} });
    assert.equal(structuredContent.node_id, "gateway-a", "the session attaches to the gateway's node");
    assert.equal(structuredContent.nodes.length, 2);

    const refused = await client.callTool({ name: "distributed_elect_leader", arguments: { candidate: "nobody", force: true } });
    assert.equal(refused.isError, true);
    assert.match(JSON.stringify(refused), /-32004/);
  });
});

check("the SDK's client reads the state, and is told of a change that it subscribed to", async () => {
  const { leader, follower } = await settled();
  await withClient(async (client, notes) => {
    const { resources } = await client.listResources();
    includes(resources.map(({ uri }) => uri), ["cluster://state", "cluster://events"]);
    const { contents } = await client.readResource({ uri: "cluster://state" });
    assert.equal(JSON.parse(contents[0].text).leader_id, leader.name);

    await client.subscribeResource({ uri: "cluster://state" });
    await leader.call("distributed.elect_leader", { candidate: follower.name, force: true });
    await eventually("the change of leader is told", () => notes.updated.includes("cluster://state"));
    await eventually("the event is told", () => notes.messages.some((note) => JSON.stringify(note).includes("cluster.leader_elected")));
    const later = await client.readResource({ uri: "cluster://state" });
    assert.equal(JSON.parse(later.contents[0].text).leader_id, follower.name);
  });
});

check("the Inspector's command line lists the tools", async () => {
  const args = ["--cli", binary, "mcp", "--method", "tools/list"];
  const { code, stdout, stderr } = await run(program("mcp-inspector"), args, { env: a.env, cwd: a.home });
  assert.equal(code, 0, stderr);
  includes(JSON.parse(stdout).tools.map(({ name }) => name), TOOLS);
});

check("openclaw mcp probe lists the tools of clawster mcp", async () => {
  const set = await a.cli("mcp", "set", "cluster", JSON.stringify({ command: binary, args: ["mcp"] }));
  assert.equal(set.code, 0, set.stderr);
  const { tools, diagnostics } = await a.json("mcp", "probe", "cluster", "--json");
  includes(tools, TOOLS.map((name) => name.replace("distributed_", "")));
  assert.deepEqual(diagnostics, []);
  // OpenClaw passes the server no environment, so that it has a private Redis, and kills it in the end.
  await eventually("no private Redis is left", () => commandLines().filter((line) => line.includes("+redis")).length === 0);
});

/** The command lines of all processes that were started below gateway-a's home, or name a file there. */
function commandLines() {
  const lines = readdirSync("/proc").filter((name) => /^\d+$/.test(name)).map((id) => {
    try {
      return readFileSync(`/proc/${id}/cmdline`, "utf8");
    } catch {
      return "";
    }
  });
  return lines.filter((line) => line.includes(a.home));
}
