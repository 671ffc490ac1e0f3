// One slot of a job's schedule, as all gateways name it in the cluster.
import { createHash } from "node:crypto";
import { shared } from "./node.js";

const KEPT_MS = 7 * 86_400_000;
const ASK_MS = 5_000;

/** For how long a run may be made up for. */
export const RETRIED_FOR_MS = 3_600_000;

/** A job is the same on all gateways by its declaration key, else by its name; job ids differ. */
export const nameOf = (job) => job.declarationKey ?? job.name ?? job.id;

/** The key of a slot in the cluster. */
export function keyOf(job, slot) {
  const text = JSON.stringify([nameOf(job), job.agentId ?? "main", slot]);
  return `clawster:cron:${createHash("sha256").update(text).digest("hex")}`;
}

/** Marks the key: `granted` to the first gateway that asks, and `by` is that gateway. */
export async function ask(key) {
  const { node } = shared();
  if (!node) throw new Error("the node is not running");
  return node.call("distributed.run_once", { key, ttl_ms: KEPT_MS }, undefined, ASK_MS);
}

/** The time that a run is for: when it was due, unless that was so long ago that it is off the schedule's grid. */
export function startOf(due) {
  const now = Date.now();
  return due && due <= now && now - due < RETRIED_FOR_MS ? due : now;
}

/** The jobs of this gateway's scheduler; none before the gateway has one. */
export const jobsOf = async () => (await shared().getCron?.()?.list({ includeDisabled: true })) ?? [];
