// What takes minutes, run by `E2E_LONG=1 scripts/e2e long` only: the scheduler on one gateway (`cron` mode "holder") for jobs that run a
// command, its move when the holder dies, and a slot that was missed meanwhile.

import assert from "node:assert/strict";

import { eventually } from "./harness/wait.mjs";
import { both, check, settled } from "./harness/world.mjs";

const SLOT_MS = 20_000;

check("jobs that run a command run on one gateway a slot, also when the holder's gateway is killed", async (context) => {
  await settled();
  for (const gateway of both) {
    gateway.change(({ plugins }) => (plugins.entries.clawster.config.cron = { mode: "holder", ttlMs: 10_000 }));
    await gateway.stop();
    await gateway.start();
  }
  await settled();
  const line = ["--cron", "*/20 * * * * *", "--exact", "--command-argv", '["/bin/true"]', "--agent", "main", "--no-deliver", "--json"];
  const jobs = await Promise.all(both.map((gateway) => gateway.json("cron", "add", "--name", "beat", ...line)));
  const connect = (gateway) => gateway.connect("operator.read", "operator.write", "operator.admin");
  const runs = async (gateway) => {
    const client = await connect(gateway);
    try {
      return (await client.request("cron.runs", { id: jobs[both.indexOf(gateway)].id })).entries.map(({ runAtMs }) => Math.floor(runAtMs / SLOT_MS));
    } finally {
      client.close();
    }
  };
  const all = async () => Promise.all(both.map((gateway) => runs(gateway).catch(() => [])));
  const first = await eventually("the job runs for three slots", async () => {
    const seen = await all();
    return seen.flat().length >= 3 && seen;
  }, 180_000);
  assert.equal(first.filter((slots) => slots.length > 0).length, 1, "on one gateway");
  const holder = both[first.findIndex((slots) => slots.length > 0)];
  const other = both.find((gateway) => gateway !== holder);
  await holder.kill();
  await eventually("the other gateway's scheduler goes on", async () => (await runs(other)).length >= 2, 180_000);
  await holder.start();
  await settled();
  const [one, two] = await all();
  const twice = one.filter((slot) => two.includes(slot));
  context.diagnostic(`slots on ${both[0].name}: ${one}, on ${both[1].name}: ${two}`);
  assert.deepEqual(twice, [], "no slot ran on both");
}, { ms: 900_000 });
