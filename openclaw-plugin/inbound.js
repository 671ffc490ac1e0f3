// A message that reaches several gateways, or one gateway after another took it, is handled once: by the first that asks.
import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { shared } from "./node.js";

const KEPT_MS = 86_400_000;
const ASK_MS = 3_000;
const HOLD_MS = 600_000;

export function registerInbound(api, { inboundOnce = false, inboundWhenUnknown = "handle" }) {
  if (!inboundOnce) return;
  const { logger } = api;
  api.on("before_dispatch", async (event, ctx) => {
    const { channelId: channel = event.channel, accountId: account, conversationId: conversation } = ctx;
    const message = ctx.messageId ?? event.messageId;
    if (!message || !channel) return undefined; // Nothing says which message it is.
    const counts = (shared().inbound ??= { taken: 0, dropped: 0, unknown: 0 });
    const text = JSON.stringify([channel, account ?? "default", conversation ?? "", message]);
    const key = `clawster:inbound:${createHash("sha256").update(text).digest("hex")}`;
    for (const end = performance.now() + HOLD_MS; ; await sleep(1_000)) {
      try {
        const { node } = shared();
        if (!node) throw new Error("the node is not running");
        const { granted, by } = await node.call("distributed.run_once", { key, ttl_ms: KEPT_MS }, undefined, ASK_MS);
        // This node's own key: an answer was lost, or the gateway died before the agent had it. OpenClaw drops what it has seen itself.
        if (granted || by === (await own(node))) {
          counts.taken++;
          return undefined;
        }
        counts.dropped++;
        logger.info(`clawster: dropped a message of ${channel} that ${by} has taken (${counts.dropped} so far)`);
        return { handled: true };
      } catch (error) {
        counts.unknown++;
        if (inboundWhenUnknown !== "hold") {
          logger.warn(`clawster: handling a message of ${channel} without knowing whether another gateway took it: ${error.message}`);
          return undefined;
        }
        if (performance.now() > end) {
          logger.error(`clawster: dropped a message of ${channel} after ${HOLD_MS / 60_000} minutes, because nothing tells whether another gateway took it: ${error.message}`);
          return { handled: true };
        }
      }
    }
  });
}

const own = async (node) => (await node.call("distributed.get_cluster_state", {}, undefined, ASK_MS)).node_id;
