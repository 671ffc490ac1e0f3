// `clawster mcp` with the official SDK for TypeScript. CLAWSTER_PROGRAM names the program, SDK the folder that npm installed it in.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { setTimeout as sleep } from "node:timers/promises";

const require = createRequire(`${process.env.SDK}/package.json`);
const load = (path) => import(pathToFileURL(require.resolve(path)).href);
const { Client } = await load("@modelcontextprotocol/sdk/client/index.js");
const { StdioClientTransport } = await load("@modelcontextprotocol/sdk/client/stdio.js");

const client = new Client({ name: "a test", version: "1" });
await client.connect(new StdioClientTransport({ command: process.env.CLAWSTER_PROGRAM, args: ["mcp"], env: process.env, stderr: "ignore" }));
const { tools } = await client.listTools();
assert.ok(tools.every(({ inputSchema, outputSchema }) => inputSchema.type === "object" && outputSchema.type === "object"));
// Once tools are listed, the SDK checks each result against its schema.
const call = async (name, args = {}) => (await client.callTool({ name, arguments: args })).structuredContent;
for (let left = 300; (await call("distributed_get_cluster_state")).role !== "leader"; left--) {
  assert.ok(left > 0, "it does not lead");
  await sleep(100);
}
const sent = await call("distributed_sync_messages", { messages: [{ id: "ts", payload: 1 }], limit: 0 });
assert.equal(sent.published + sent.duplicates, 1);
const refused = await client.callTool({ name: "distributed_elect_leader", arguments: { candidate: "nobody", force: true } });
assert.equal(refused.isError, true);
assert.match(JSON.stringify(refused), /-32004/);
await client.close();
console.log(`@modelcontextprotocol/sdk: ${tools.length} tools`);
