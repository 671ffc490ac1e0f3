// What takes minutes, run by `make e2e-cron` only: jobs of all kinds that are due every minute on both gateways, for `E2E_MINUTES` (5), with a
// restart of a gateway within that time and a gap of three minutes after it. Each slot of each job runs on one gateway.
//
// A run belongs to the minute in which it starts: what a gateway makes up for, it does at once and within the minute of the last slot.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as hold } from "node:timers/promises";

import { eventually } from "./harness/wait.mjs";
import { both, check, provider, settled } from "./harness/world.mjs";

const MINUTES = Number(process.env.E2E_MINUTES || 5);
const MINUTE_MS = 60_000;
const GAP_MS = 3 * MINUTE_MS;
const SLEEPS_S = 40;

const KINDS = {
  agent: ["--session", "isolated", "--message", "Do the minute-agent-work.", "--no-deliver"],
  main: ["--session", "main", "--system-event", "Do the minute-main-work.", "--wake", "now"],
  command: ["--command-argv", '["/bin/true"]', "--agent", "main", "--no-deliver"],
  slow: ["--command", `echo $$ > "$OPENCLAW_STATE_DIR/slow.txt"; sleep ${SLEEPS_S}`, "--agent", "main", "--no-deliver"],
  script: ["--script", "-", "--session", "isolated", "--no-deliver"],
};
const SCRIPT = "return { state: { ran: true } };";

/** Gives both gateways these settings for scheduled jobs. */
async function configure(cron) {
  for (const gateway of both) {
    gateway.change(({ plugins }) => (plugins.entries.clawster.config.cron = cron));
    await gateway.stop();
  }
  await Promise.all(both.map((gateway) => gateway.start()));
  await settled();
}

/** The minutes whose run a gateway left to the other one, by its log: OpenClaw's run log has no place for that where a job is of the main session. */
function leftBy(gateway, name) {
  const lines = readFileSync(gateway.log, "utf8").matchAll(new RegExp(`job "${name}", \\S+ (\\d+): done by gateway-[ab]`, "g"));
  return new Set([...lines].map(([, slot]) => Math.floor(Number(slot) / MINUTE_MS)));
}

/** The same jobs on both gateways, due every minute; returns how their runs are read, and what removes them. */
async function add(prefix, kinds) {
  const line = ["--cron", "* * * * *", "--exact", "--json"];
  const jobs = [];
  for (const gateway of both) {
    for (const kind of kinds) {
      const input = KINDS[kind].includes("-") ? SCRIPT : undefined;
      jobs.push({ gateway, kind, id: (await gateway.json(...["cron", "add", "--name", `${prefix} ${kind}`, ...line, ...KINDS[kind]], { input })).id });
    }
  }
  const asking = async (gateway, ask) => {
    const client = await gateway.connect("operator.read", "operator.write", "operator.admin");
    try {
      return await ask(client);
    } finally {
      client.close();
    }
  };
  return {
    /** All finished runs that the other gateway has not done instead, as `{kind, gateway, slot, status}`. */
    async runs() {
      const read = ({ gateway, kind, id }) => asking(gateway, async (client) => {
        const { entries } = await client.request("cron.runs", { id, limit: 100 });
        const own = entries.filter(({ summary, error }) => !/done by gateway-[ab]/.test(`${summary} ${error}`));
        const left = leftBy(gateway, `${prefix} ${kind}`);
        const all = own.map(({ runAtMs, status }) => ({ kind, gateway: gateway.name, slot: Math.floor(runAtMs / MINUTE_MS), status }));
        return all.filter(({ slot }) => !left.has(slot));
      });
      return (await Promise.all(jobs.map(read))).flat();
    },
    remove: () => Promise.all(jobs.map(({ gateway, id }) => asking(gateway, (client) => client.request("cron.remove", { id })))),
  };
}

/** Lets the jobs run, with a restart and a gap; `restarted` and `away` choose the gateways for both. Asserts one run a slot. */
async function minutes(context, jobs, kinds, restarted, away) {
  const began = Math.floor(Date.now() / MINUTE_MS) + 1;
  const until = (slot) => hold(slot * MINUTE_MS + MINUTE_MS / 2 - Date.now()); // The schedule's own times are what is tested.
  await until(began + 1);
  const [gateway] = await restarted();
  await gateway.stop();
  await gateway.start();
  await settled();
  await until(began + MINUTES - 1);
  const gone = away();
  const left = Math.floor(Date.now() / MINUTE_MS);
  for (const one of gone) await one.stop();
  await hold(GAP_MS);
  await Promise.all(gone.map((one) => one.start()));
  await settled();
  const back = Math.floor(Date.now() / MINUTE_MS);
  await until(back + 2);
  const runs = await jobs.runs();
  for (const kind of kinds) {
    const slots = new Map();
    for (const run of runs.filter((one) => one.kind === kind)) slots.set(run.slot, [...(slots.get(run.slot) ?? []), `${run.gateway} ${run.status}`]);
    const shown = [...slots].toSorted(([one], [other]) => one - other).map(([slot, by]) => `${slot - began}: ${by.join(" and ")}`);
    context.diagnostic(`${kind}, by minute: ${shown.join(", ")}; restart after ${1}, away from ${left - began} to ${back - began}`);
    assert.deepEqual([...slots].filter(([, by]) => by.length > 1), [], `${kind}: no slot ran twice\n${both.map(({ name, log }) => `${name}:\n${readFileSync(log, "utf8").split("\n").filter((line) => /job "/.test(line)).join("\n")}`).join("\n")}`);
    const wanted = Array.from({ length: MINUTES }, (_, at) => began + at);
    assert.deepEqual(wanted.filter((slot) => !slots.has(slot)), [], `${kind}: no slot was left out`);
    assert.ok(slots.has(back + 1), `${kind}: the jobs go on after the gap`);
  }
}

/** The gateway whose scheduler runs, and the other one. */
async function scheduling() {
  const running = async (gateway) => {
    const client = await gateway.connect("operator.read");
    try {
      return (await client.request("cron.status", {})).enabled;
    } finally {
      client.close();
    }
  };
  // A gateway starts with its scheduler as it was left, before it knows who has the lease.
  return eventually("only the scheduler of the lease's holder runs", async () => {
    const { leases } = await both[0].call("distributed.list_leases");
    const holder = leases.find(({ name }) => name === "openclaw:cron")?.holder;
    const on = await Promise.all(both.map(running));
    const at = both.findIndex(({ name }) => name === holder);
    return at >= 0 && on[at] && !on[1 - at] && [both[at], both[1 - at]];
  }, 120_000);
}

check("with the scheduler on one gateway, each job of each kind runs once a minute", async (context) => {
  await configure({ mode: "holder", ttlMs: 10_000 });
  await scheduling();
  const kinds = ["agent", "main", "command", "script"];
  const jobs = await add("held", kinds);
  await minutes(context, jobs, kinds, scheduling, () => both);
  await jobs.remove();
}, { ms: 1_800_000 });

check("a command that was cut off by the death of its gateway runs again where that is asked for", async () => {
  await configure({ mode: "holder", ttlMs: 10_000, retry: true });
  const [holder, other] = await scheduling();
  const jobs = await add("cut off", ["slow"]);
  await eventually("it runs", () => readFileSync(join(holder.state, "slow.txt"), "utf8"), 120_000);
  await holder.kill();
  await eventually("the other gateway runs it", () => /running job "cut off slow".* left within the run/.test(readFileSync(other.log, "utf8")), 120_000);
  await holder.start();
  await settled();
  await jobs.remove();
}, { ms: 600_000 });

check("with a claim for each slot, the jobs of agents run once a minute, also when one gateway is away", async (context) => {
  await configure({ mode: "once" });
  const kinds = ["agent", "main"];
  const jobs = await add("claimed", kinds);
  await minutes(context, jobs, kinds, async () => both, () => [both[1]]);
  await jobs.remove();
}, { ms: 1_800_000 });

check("a turn that was cut off by the death of its gateway runs again where that is asked for", async () => {
  await configure({ mode: "once", retry: true });
  const jobs = await add("retried", ["agent"]);
  const asked = () => provider.requests.filter(({ messages }) => JSON.stringify(messages).includes("minute-agent-work")).length;
  const before = asked();
  provider.hang = () => true;
  try {
    await eventually("a turn runs", () => asked() > before, 120_000);
    const left = await eventually("the other gateway knows who runs it", () => both.find((gateway) => /job "retried agent", .*: done by/.test(readFileSync(gateway.log, "utf8"))), 120_000);
    const ran = both.find((gateway) => gateway !== left);
    await ran.kill();
    provider.hang = () => false;
    provider.release();
    await eventually("the other gateway runs it", () => /left within a job's run; running it here/.test(readFileSync(left.log, "utf8")), 120_000);
    await eventually("the model is asked again", () => asked() > before + 1, 120_000);
    await ran.start();
    await settled();
  } finally {
    provider.hang = () => false;
    provider.release();
  }
  await jobs.remove();
}, { ms: 600_000 });
