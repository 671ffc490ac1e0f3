// Forwards the cluster's events to WebSocket clients and to the agent's session, and handles the cron line for heartbeats.
import { isHeartbeatLine, reminderLines } from "./heartbeat-line.js";
import { shared } from "./node.js";
import { eventLine } from "./text.js";

// Sent with the cron line. A turn that contains it contains all unread texts; in any other turn texts of others may be visible to
// the model only. (OpenClaw hides a text with these last two words from the agent.)
const WITNESS = "clawster: a heartbeat is due, reason periodic";

/**
 * OpenClaw keeps 20 unread texts of all plugins and jobs, and drops the oldest: the cluster takes four places. A newer text takes
 * the place of an older one; the agent sees by the numbers that some are missing, and can ask for the state.
 */
function placeOf({ event, node_id: node }, members) {
  if (event.startsWith("cluster.leader_")) return "leader";
  if (!event.startsWith("cluster.node_")) return "other";
  let place = members.ids.indexOf(node);
  if (place < 0) members.ids[(place = members.next = 1 - members.next)] = node;
  return `member ${place}`;
}

export function registerEvents(api, { session = "main", wake = [] }) {
  const agentId = /^agent:([^:]+):/.exec(session)?.[1];
  const target = { sessionKey: session, ...(agentId && { agentId }) };
  const woken = new Set(wake.map((name) => `cluster.${name.replace(/^cluster\./, "")}`));
  const enqueue = (text, contextKey, replace) => api.runtime.system.enqueueSystemEvent(text, { ...target, contextKey, replace });

  // OpenClaw shows a turn to a plugin only with the owner's permission (hooks.allowConversationAccess).
  if (api.config?.plugins?.entries?.clawster?.hooks?.allowConversationAccess === true) {
    // OpenClaw reports the start of a run late, so the end of each run prepares the next one.
    api.on("cron_changed", ({ action, job, agentId = job?.agentId }) => {
      if (action === "removed" || !isHeartbeatLine(job?.payload?.text?.trim() ?? "")) return;
      api.runtime.system.enqueueSystemEvent(WITNESS, { sessionKey: "main", agentId, contextKey: "clawster:witness" });
    });
    api.on("before_agent_reply", beat, { eligibleTriggers: ["cron", "heartbeat"] });
  }

  /** Sends a heartbeat if the turn contains the cron line, and ends the turn without a model call if it contains nothing else. */
  async function beat({ cleanedBody = "" }) {
    const lines = reminderLines(cleanedBody);
    if (!lines.some(isHeartbeatLine)) return undefined;
    await shared().node?.call("cluster.heartbeat", {}).catch((error) => api.logger.warn(`clawster: heartbeat failed: ${error.message}`));
    if (!lines.includes(WITNESS) || !lines.every(isOwn)) return undefined; // Other reminders need the model.
    putBack(lines);
    return { handled: true };
  }

  /** Whether a line of a turn is the plugin's, so that nobody else needs the turn for it. */
  function isOwn(line) {
    return isHeartbeatLine(line) || line === WITNESS || /^\[cluster\.\w+\] #\d+ /.test(line);
  }

  /** A turn removes the agent's unread events from the queue; a new key keeps the re-added entries out of this turn. */
  function putBack(lines) {
    const own = [...shared().told].filter(([, text]) => lines.includes(text));
    for (const [key, text] of own) enqueue(text, `${key}:${++shared().count}`, false);
  }

  return {
    isOwn,
    putBack,
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
      const text = eventLine(event, ++state.count);
      const key = `clawster:${placeOf(event, (state.members ??= { ids: [], next: 1 }))}`;
      state.told.set(key, text);
      enqueue(text, key, true);
      if (woken.has(event.event)) api.runtime.system.requestHeartbeat({ source: "other", intent: "immediate", reason: "wake", ...(agentId && target) });
    },
  };
}
