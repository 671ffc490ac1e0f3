// A scheduled job that both gateways have runs once for each slot of its schedule.
//
// `E2E_SLOTS` says for how many slots of 30 s the jobs run (2 when unset).

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

import { eventually } from "./harness/wait.mjs";
import { a, b, both, check, provider, settled } from "./harness/world.mjs";

const SLOTS = Number(process.env.E2E_SLOTS || 2);

/** The same job on both gateways; returns what removes it, and how its runs are read. */
async function addToBoth(name, ...line) {
  const jobs = await Promise.all(both.map((gateway) => gateway.json("cron", "add", "--name", name, ...line, "--json")));
  const clients = await Promise.all(both.map((gateway) => gateway.connect("operator.read", "operator.write", "operator.admin")));
  return {
    runs: () => Promise.all(clients.map(async (client, at) => (await client.request("cron.runs", { id: jobs[at].id })).entries)),
    async remove() {
      await Promise.all(clients.map((client, at) => client.request("cron.remove", { id: jobs[at].id })));
      for (const client of clients) client.close();
    },
  };
}

/** The slots of a job that a gateway left to another one, from its log. */
const left = (gateway, name) => [...readFileSync(gateway.log, "utf8").matchAll(new RegExp(`job "${name}", (\\S+ \\d+): done by gateway-[ab]`, "g"))].map(([, slot]) => slot);

check("agent jobs and main-session jobs on both gateways run once a slot, and the other's run log says who did it", async (context) => {
  await settled();
  const line = ["--cron", "*/30 * * * * *", "--exact"];
  const isolated = await addToBoth("once isolated", ...line, "--session", "isolated", "--message", "Do the isolated-work.", "--no-deliver");
  const main = await addToBoth("once main", ...line, "--session", "main", "--system-event", "Do the main-work.", "--wake", "now");
  try {
    const bySlot = await eventually(`both gateways are through with ${SLOTS} slots of the isolated job`, async () => {
      const slots = new Map();
      for (const { runAtMs, summary, status } of (await isolated.runs()).flat()) {
        const slot = Math.floor(runAtMs / 30_000);
        slots.set(slot, [...(slots.get(slot) ?? []), /done by gateway-[ab]/.test(summary) ? "left" : status]);
      }
      const through = [...slots.values()].filter((runs) => runs.length === 2);
      return through.length >= SLOTS && through;
    }, 120_000 + SLOTS * 30_000);
    context.diagnostic(`slots of the isolated job: ${JSON.stringify(bySlot)}`);
    for (const runs of bySlot) assert.deepEqual(runs.toSorted(), ["left", "ok"], "one gateway runs it, the other says who did");

    await eventually("a gateway leaves a slot of the main job to the other", () => both.some((gateway) => left(gateway, "once main").length > 0), 300_000);
    const twice = left(a, "once main").filter((slot) => left(b, "once main").includes(slot));
    assert.deepEqual(twice, [], "somebody does each slot");
    const asked = () => provider.requests.some(({ messages }) => JSON.stringify(messages).includes("main-work"));
    await eventually("the model is asked for the main job", asked, 240_000);
  } finally {
    await isolated.remove();
    await main.remove();
  }
}, { ms: 720_000 + SLOTS * 30_000 });
