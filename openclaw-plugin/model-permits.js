// A model's key that several gateways share: each turn of an agent takes a permit of the cluster before it asks the model, and waits for it.
//
// 1. OpenClaw ends a turn whose hook fails or is late, so this one does neither.
import { shared } from "./node.js";

const ANSWER_MS = 5_000;
const PASS = { outcome: "pass" };

export function registerModelPermits(api, { modelPermits }) {
  if (!modelPermits) return;
  const { name = "openclaw:model", rate, perMs = 60_000, burst = rate, waitMs = 60_000, match, whenUsedUp = "refuse" } = modelPermits;
  const wanted = match ? new RegExp(match) : undefined;
  const { logger } = api;

  async function decide(_event, { modelProviderId: provider, modelId: id } = {}) {
    const model = `${provider ?? "?"}/${id ?? "?"}`;
    if (wanted && !wanted.test(model)) return PASS;
    try {
      const { node } = shared();
      if (!node) throw new Error("the node is not running");
      const params = { name, rate, per_ms: perMs, burst, wait_ms: waitMs };
      const { granted, retry_after_ms: after } = await node.call("distributed.take_permits", params, undefined, waitMs + ANSWER_MS);
      if (granted) return PASS;
      const reason = `the gateways together may ask ${model} ${rate} times in ${perMs / 1000} s, and that is used up`;
      logger.warn(`clawster: ${reason}${whenUsedUp === "run" ? "; asking nevertheless" : ""}`);
      if (whenUsedUp === "run") return PASS;
      return { outcome: "block", reason, message: `Too many turns at the moment. Please try again in ${Math.max(1, Math.ceil((after ?? perMs) / 1000))} s.` };
    } catch (error) {
      logger.warn(`clawster: asking ${model} without a permit of the cluster: ${error.message}`);
      return PASS;
    }
  }
  api.on("before_agent_run", decide, { timeoutMs: waitMs + 2 * ANSWER_MS });
}
