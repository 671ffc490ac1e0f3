// Forwards the cluster's events to WebSocket clients and to the agent's session, and handles the cron line for heartbeats.
import { shared } from "./node.js";
import { settings } from "./program.js";

// The cron line for heartbeats: EXEC: …/heartbeat, or EXEC: …clawster [options] heartbeat [options].
const HEARTBEAT = /^EXEC:\s*(?:(?:"[^"]*\/|'[^']*\/|\S*\/)?heartbeat|(?:"[^"]*\/|'[^']*\/|\S*\/)?clawster["']?\s+(?:[^;&|]*\s)?heartbeat)["']?(?:\s+-[^;&|]*)?$/;
const REMINDER = /A scheduled reminder has been triggered\. The reminder content is:\n\n([\s\S]*?)\n\n(?:Handle this reminder internally|Please relay this reminder)/;

// Sent with the cron line. A turn that contains it contains all unread texts; in any other turn texts of others may be visible to
// the model only. (OpenClaw hides a text with these last two words from the agent.)
const WITNESS = "clawster: a heartbeat is due, reason periodic";

export function registerEvents(api) {
  const { session = "main", wake = [] } = settings(api);
  const agentId = /^agent:([^:]+):/.exec(session)?.[1];
  const target = { sessionKey: session, ...(agentId && { agentId }) };
  const woken = new Set(wake.map((name) => `cluster.${name.replace(/^cluster\./, "")}`));
  const enqueue = (text, contextKey, replace) => api.runtime.system.enqueueSystemEvent(text, { ...target, contextKey, replace });

  // OpenClaw shows a turn to a plugin only with the owner's permission (hooks.allowConversationAccess).
  if (api.config?.plugins?.entries?.clawster?.hooks?.allowConversationAccess === true) {
    // OpenClaw reports the start of a run late, so the end of each run prepares the next one.
    api.on("cron_changed", ({ action, job, agentId = job?.agentId }) => {
      if (action === "removed" || !HEARTBEAT.test(job?.payload?.text?.trim() ?? "")) return;
      api.runtime.system.enqueueSystemEvent(WITNESS, { sessionKey: "main", agentId, contextKey: "clawster:witness" });
    });
    api.on("before_agent_reply", beat, { eligibleTriggers: ["cron", "heartbeat"] });
  }

  /** Sends a heartbeat if the turn contains the cron line, and ends the turn without a model call if it contains nothing else. */
  async function beat({ cleanedBody = "" }) {
    const lines = (REMINDER.exec(cleanedBody)?.[1] ?? "").split("\n").map((line) => line.trim()).filter(Boolean);
    if (!lines.some((line) => HEARTBEAT.test(line))) return undefined;
    await shared().node?.call("cluster.heartbeat", {}).catch((error) => api.logger.warn(`clawster: heartbeat failed: ${error.message}`));
    const own = [...shared().told].filter(([, text]) => lines.includes(text));
    const isOwn = (line) => HEARTBEAT.test(line) || line === WITNESS || /^\[cluster\.\w+\] #\d+ /.test(line);
    if (!lines.includes(WITNESS) || !lines.every(isOwn)) return undefined; // Other reminders need the model.
    // This turn removes the agent's unread events from the queue; a new key keeps the re-added entries out of this turn.
    for (const [key, text] of own) enqueue(text, `${key}:${++shared().count}`, false);
    return { handled: true };
  }

  return {
    /** Subscribes, after the last event that was seen before a restart. */
    async subscribe(node) {
      const { seen } = shared();
      await node.call("cluster.subscribe", { events: ["cluster.*"], ...(seen && { after: seen }) });
    },
    take(event, ctx) {
      const state = shared();
      if (event.id) state.seen = event.id;
      ctx.gatewayEvents?.emit(event.event.replace("cluster.", ""), event, { scope: "operator.read" });
      if (session === "off") return;
      const { id, seq, cluster, event: name, ...facts } = event;
      const parts = Object.entries(facts).filter(([, value]) => value !== null).map(([key, value]) => `${key}=${JSON.stringify(value)}`);
      const text = `[${name}] #${++state.count} ${parts.join(" ")}`;
      // One unread text per event and node: OpenClaw keeps only 20 in all, and texts of others must not be pushed out.
      const key = `clawster:${name}:${event.node_id}`;
      state.told.delete(key);
      state.told.set(key, text);
      if (state.told.size > 200) state.told.delete(state.told.keys().next().value);
      enqueue(text, key, true);
      if (woken.has(name)) api.runtime.system.requestHeartbeat({ source: "other", intent: "immediate", reason: "wake", ...(agentId && target) });
    },
  };
}
