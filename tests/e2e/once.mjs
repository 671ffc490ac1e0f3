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

const LINE = ["--cron", "*/30 * * * * *", "--exact"];

/** Adds a job to both gateways, looks at it, and removes it. One job at a time: OpenClaw puts a main session's job off while another one runs. */
async function withJob(name, line, look) {
  await settled();
  const job = await addToBoth(name, ...LINE, ...line);
  try {
    await look(job);
  } finally {
    await job.remove();
  }
}

check("agent jobs on both gateways run once a slot, and the other's run log says who did it", async (context) => {
  await withJob("once isolated", ["--session", "isolated", "--message", "Do the isolated-work.", "--no-deliver"], async (isolated) => {
    const bySlot = await eventually(`both gateways are through with ${SLOTS} slots of the job`, async () => {
      const slots = new Map();
      for (const { runAtMs, summary, status } of (await isolated.runs()).flat()) {
        const slot = Math.floor(runAtMs / 30_000);
        slots.set(slot, [...(slots.get(slot) ?? []), /done by gateway-[ab]/.test(summary) ? "left" : status]);
      }
      const through = [...slots.values()].filter((runs) => runs.length === 2);
      return through.length >= SLOTS && through;
    }, 120_000 + SLOTS * 30_000);
    context.diagnostic(`slots: ${JSON.stringify(bySlot)}`);
    for (const runs of bySlot) assert.deepEqual(runs.toSorted(), ["left", "ok"], "one gateway runs it, the other says who did");
  });
}, { ms: 240_000 + SLOTS * 30_000 });

check("main-session jobs on both gateways run once a slot", async (context) => {
  await withJob("once main", ["--session", "main", "--system-event", "Do the main-work.", "--wake", "now"], async () => {
    const asked = () => provider.requests.filter(({ messages }) => JSON.stringify(messages).includes("main-work")).length;
    const done = () => both.map((gateway) => left(gateway, "once main"));
    await eventually("a gateway leaves a slot to the other, which asks its model", () => done().some((slots) => slots.length > 0) && asked() > 0, 300_000);
    const [one, other] = done();
    context.diagnostic(`slots left: ${JSON.stringify([one, other])}; the model was asked ${asked()} times`);
    assert.deepEqual(one.filter((slot) => other.includes(slot)), [], "somebody does each slot");
  });
}, { ms: 480_000 });
