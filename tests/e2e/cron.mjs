// OpenClaw's scheduler beats for a gateway: by the documented command line, and by the older line with `EXEC:`, without a model.

import assert from "node:assert/strict";
import { join } from "node:path";

import { eventually } from "./harness/wait.mjs";
import { a, check, provider, settled } from "./harness/world.mjs";

/** Where the plugin keeps a path to its program that updates do not change. */
const program = join(a.state, "clawster/clawster");

/** Adds a job by the command line, waits for a finished run of it, and removes it again. */
async function firstRun(name, ...line) {
  const job = await a.json("cron", "add", "--name", name, "--every", "10s", ...line, "--json");
  const client = await a.connect("operator.read", "operator.write", "operator.admin");
  try {
    return await eventually(`a run of ${name}`, async () => (await client.request("cron.runs", { id: job.id })).entries[0], 60_000);
  } finally {
    await client.request("cron.remove", { id: job.id });
    client.close();
  }
}

check("a cron job runs clawster heartbeat as a command", async () => {
  await settled();
  const command = JSON.stringify([program, "heartbeat"]);
  const run = await firstRun("beat", "--command-argv", command, "--agent", "main", "--no-deliver");
  assert.equal(run.status, "ok", JSON.stringify(run));
  assert.match(JSON.stringify(run), /Heartbeat of gateway-a took/);
});

check("the line EXEC: …/heartbeat is answered without a call of the model", async () => {
  await settled();
  const before = provider.requests.length;
  const run = await firstRun("exec", "--session", "main", "--system-event", "EXEC: /opt/clawster/heartbeat");
  assert.equal(run.status, "ok", JSON.stringify(run));
  const asked = provider.requests.slice(before).map(({ messages }) => JSON.stringify(messages.at(-1)));
  assert.deepEqual(asked, [], "the model was asked");
});
