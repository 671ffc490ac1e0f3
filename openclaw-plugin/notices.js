// Chosen events of the cluster as messages to the operator's own channel: once in the cluster, from the gateway that may use the channel.
import { setTimeout as sleep } from "node:timers/promises";
import { gatewayCall } from "./gateway.js";
import { leaseOf } from "./lease.js";
import { clean } from "./text.js";

const KEPT_MS = 300_000;
const MAX_KEPT = 100;
const TRIES = 5;

export function sendNotices({ notices, channels = [] }, owners, call, logger) {
  if (!notices) return { take: () => {}, flush: () => {} };
  const { events = ["node_left", "leader_elected"], channel, account, to } = notices;
  const wanted = new Set(events.map((name) => `cluster.${name.replace(/^cluster\./, "")}`));
  const owned = channels.find((entry) => entry.channel === channel && (entry.account ?? "default") === (account ?? "default"));
  // The scheduler's lease is of no account.
  const mayUse = () => !owned || owners().some(({ entry, keeper }) => entry && leaseOf(entry) === leaseOf(owned) && keeper.token !== undefined);
  let kept = []; // An event may come while no gateway has the channel.

  async function send(event) {
    const key = `clawster:notice:${event.id}`;
    if (!(await call("distributed.run_once", { key, ttl_ms: KEPT_MS * 2 }, 10_000)).granted) return;
    for (let tries = 1; ; tries++) {
      try {
        await gatewayCall("send", { channel, to, message: sentence(event), idempotencyKey: key, ...(account && { accountId: account }) }, "operator.write");
        return;
      } catch (error) {
        if (tries === TRIES) throw error;
        await sleep(1_000 * tries);
      }
    }
  }

  async function flush() {
    if (!mayUse()) return;
    const all = kept;
    kept = [];
    for (const { event, until } of all) {
      if (until < Date.now()) continue;
      await send(event).catch((error) => logger.error(`clawster: a notice could not be sent: ${error.message}`));
    }
  }

  return {
    flush,
    take(event) {
      if (!event.id || !wanted.has(event.event)) return;
      kept = [...kept, { event, until: Date.now() + KEPT_MS }].slice(-MAX_KEPT);
      return flush();
    },
  };
}

/** The event for a person. */
function sentence({ event, node_id: node, name, reason, leader_id: leader, cluster }) {
  const what = event.replace("cluster.", "").replaceAll("_", " ");
  const about = event.startsWith("cluster.leader") ? leader ?? node : name && name !== node ? `${node} (${clean(name, 80)})` : node;
  return `Cluster ${cluster}: ${what}${about ? `: ${about}` : ""}${reason ? ` (${reason})` : ""}`;
}
