// @ts-check
// An OpenClaw plugin that does something once in the cluster: each day one gateway of them all writes a line, and every gateway writes
// who leads. It uses the clawster plugin of the same gateway by its in-process interface.
import { definePluginEntry } from "openclaw/plugin-sdk/plugin-entry";

/** @typedef {import("../../openclaw-plugin/api.d.ts").ClawsterApi} ClawsterApi In a plugin of your own: `clawster/api.d.ts`. */

const DAY_MS = 86_400_000;

/** The interface, or undefined while the clawster plugin does not run. Read it each time: a reload makes a new one. */
const clawster = () => /** @type {ClawsterApi | undefined} */ (/** @type {any} */ (globalThis)[Symbol.for("clawster.api.v1")]);

export default definePluginEntry({
  id: "clawster-example",
  name: "clawster example",
  description: "Does something once a day in the cluster, on one gateway.",
  register(api) {
    if (api.registrationMode !== "full") return;
    /** @type {NodeJS.Timeout | undefined} */
    let timer;
    /** @type {(() => void) | undefined} */
    let off;
    api.registerService({
      id: "clawster-example",
      async start(ctx) {
        const work = async () => {
          const cluster = clawster();
          if (!cluster) return;
          off ??= cluster.onEvent(({ event, node_id: node }) => {
            if (event === "cluster.leader_elected") ctx.logger.info(`clawster example: ${node} leads`);
          });
          const day = new Date().toISOString().slice(0, 10);
          const { granted, by } = await cluster.runOnce({ key: `example:${day}`, ttl_ms: DAY_MS });
          ctx.logger.info(granted ? "clawster example: this gateway does today's work" : `clawster example: ${by} did today's work`);
        };
        const guarded = () => work().catch((error) => ctx.logger.warn(`clawster example: ${error.message}`));
        timer = setInterval(guarded, 10_000);
      },
      async stop() {
        clearInterval(timer);
        off?.();
      },
    });
  },
});
