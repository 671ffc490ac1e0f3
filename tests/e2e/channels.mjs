// An account of a channel runs on the gateway that holds its lease, on no other at the same time, and follows the lease: when its
// holder drains, when its node dies or freezes, and when Redis is away.
//
// `E2E_TAKEOVERS` says how many take-overs there are in all (4 when unset, in the order of `WAYS`; 7 restart gateways, too); what
// `scripts/e2e channels` prints has the longest times without a poll. `make e2e-takeovers` makes 50.

import assert from "node:assert/strict";

import { eventually } from "./harness/wait.mjs";
import { a, b, both, check, OWNED, redis, settled, state, telegram } from "./harness/world.mjs";

const TAKEOVERS = Number(process.env.E2E_TAKEOVERS || 4);

/** How many notices about nodes that left the operator has. */
const notices = () => telegram.sent.filter(({ token, method, body }) => token === OWNED && method === "sendMessage" && /node left/.test(body.text)).length;

/** The only gateway that polls. */
const poller = (what = "one gateway polls") => eventually(what, () => {
  const names = [...new Set(telegram.pollers(OWNED))];
  return names.length === 1 && both.find(({ name }) => name === names[0]);
}, 120_000);

/** Waits until `other` polls, while nobody else may. */
const follows = (other, what) => eventually(`${other.name} polls after ${what}`, () => telegram.pollers(OWNED).includes(other.name), 120_000);

const WAYS = {
  async "a drain"(holder, other) {
    await holder.call("distributed.drain", { enabled: true });
    await follows(other, "a drain");
    await holder.call("distributed.drain", { enabled: false });
  },
  async "kill -9 of the node"(holder, other) {
    process.kill(holder.nodes()[0].pid, "SIGKILL");
    await follows(other, "kill -9 of the node");
  },
  async "a frozen node"(holder, other) {
    const [{ pid }] = holder.nodes();
    process.kill(pid, "SIGSTOP");
    await follows(other, "SIGSTOP of the node");
  },
  async "Redis away"() {
    redis.child.kill("SIGSTOP");
    try {
      await eventually("nobody polls without Redis", () => telegram.pollers(OWNED).length === 0, 60_000);
    } finally {
      redis.child.kill("SIGCONT");
    }
    await poller("one gateway polls when Redis is back");
  },
  async "kill -9 of the gateway"(holder, other) {
    await holder.kill();
    await follows(other, "kill -9 of the gateway");
    await holder.start();
  },
  async "a frozen gateway, which its node kills"(holder, other) {
    holder.leaving = true;
    holder.child.kill("SIGSTOP");
    await follows(other, "SIGSTOP of the gateway");
    await eventually("the frozen gateway is dead", () => holder.child.signalCode === "SIGKILL");
    await holder.start();
  },
  async "a boot of both gateways"() {
    await Promise.all(both.map((gateway) => gateway.stop()));
    await Promise.all(both.map((gateway) => gateway.start()));
    await poller("one gateway polls after the boot");
  },
};

check("an account that both gateways have runs on one of them, and the others show which", async () => {
  await settled();
  const holder = await poller();
  assert.deepEqual(telegram.bot(OWNED).overlaps, [], "not even while the gateways started");
  await eventually("every node shows who serves the account", async () => {
    const seen = await Promise.all(both.map((gateway) => state(gateway)));
    return seen.every(({ nodes }) => nodes.filter(({ capabilities }) => capabilities.includes("channel:telegram:owned")).map(({ node_id: id }) => id).join() === holder.name);
  });
});

check(`the account moves ${TAKEOVERS} times, and never two gateways poll it`, async (context) => {
  telegram.reset(OWNED);
  const bot = telegram.bot(OWNED);
  const client = await a.connect("operator.read");
  const before = notices();
  const gaps = {};
  for (const gateway of both) gateway.kept = true; // A gateway that gets no processor for long is killed as frozen.
  for (let round = 0; round < TAKEOVERS; round++) {
    const [what, takeOver] = Object.entries(WAYS)[round % Object.keys(WAYS).length];
    await settled();
    const holder = await poller();
    bot.gap = 0;
    await takeOver(holder, holder === a ? b : a);
    await poller();
    (gaps[what] ??= []).push(bot.gap / 1000);
    console.error(`take-over ${round + 1}: ${what}: ${(bot.gap / 1000).toFixed(1)} s without a poll`);
    assert.deepEqual(bot.overlaps, [], `two polls were open at once in round ${round + 1}: ${what}`);
  }
  const seconds = (all) => `${Math.max(...all).toFixed(1)} s`;
  const figures = Object.entries(gaps).map(([what, all]) => `${what} ${all.length} times ${seconds(all)}`).join(", ");
  context.diagnostic(`${TAKEOVERS} take-overs, at most ${bot.most} poll open at once, ${seconds(Object.values(gaps).flat())} the longest time without one: ${figures}`);
  await settled();
  if (TAKEOVERS <= 4) { // A restart of the gateway would end the client's connection.
    const told = () => new Set(client.events.filter(({ event }) => event === "plugin.clawster.node_left").map(({ payload }) => payload.id)).size;
    await eventually("each departure of a node is a notice to the operator, once in the cluster", () => told() > 0 && notices() - before === told(), 60_000);
  }
  for (const gateway of both) gateway.kept = false;
  client.close();
}, { ms: 120_000 * TAKEOVERS });
