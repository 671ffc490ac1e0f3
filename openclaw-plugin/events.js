// The cluster's events for WebSocket clients and for the agent's session, and the cron line that means "beat".
import { shared } from "./node.js";
import { settings } from "./program.js";

// The line that crontabs of this project hold: EXEC: …/heartbeat, or EXEC: …clawster [options] heartbeat [options].
const HEARTBEAT = /^EXEC:\s*(?:(?:"[^"]*\/|'[^']*\/|\S*\/)?heartbeat|(?:"[^"]*\/|'[^']*\/|\S*\/)?clawster["']?\s+(?:[^;&|]*\s)?heartbeat)["']?(?:\s+-[^;&|]*)?$/;
const REMINDER = /A scheduled reminder has been triggered\. The reminder content is:\n\n([\s\S]*?)\n\n(?:Handle this reminder internally|Please relay this reminder)/;

// Goes along with the line. A turn that shows it shows all that was unread; any other has taken texts of others out of sight, to
// the model only. (OpenClaw keeps a text with these last two words from the agent.)
const WITNESS = "clawster: a heartbeat is due, reason periodic";

export function registerEvents(api) {
  const { session = "main", wake = [] } = settings(api);
  const agentId = /^agent:([^:]+):/.exec(session)?.[1];
  const target = { sessionKey: session, ...(agentId && { agentId }) };
  const woken = new Set(wake.map((name) => `cluster.${name.replace(/^cluster\./, "")}`));
  const tell = (text, contextKey, replace) => api.runtime.system.enqueueSystemEvent(text, { ...target, contextKey, replace });

  // Only with the owner's leave (hooks.allowConversationAccess) does OpenClaw show a turn to a plugin.
  if (api.config?.plugins?.entries?.clawster?.hooks?.allowConversationAccess === true) {
    // OpenClaw tells of a start late, so the end of each run prepares the next one.
    api.on("cron_changed", ({ action, job, agentId = job?.agentId }) => {
      if (action === "removed" || !HEARTBEAT.test(job?.payload?.text?.trim() ?? "")) return;
      api.runtime.system.enqueueSystemEvent(WITNESS, { sessionKey: "main", agentId, contextKey: "clawster:witness" });
    });
    api.on("before_agent_reply", beat, { eligibleTriggers: ["cron", "heartbeat"] });
  }

  /** Beats when the turn holds the line, and ends the turn without a model when nothing else is in it. */
  async function beat({ cleanedBody = "" }) {
    const lines = (REMINDER.exec(cleanedBody)?.[1] ?? "").split("\n").map((line) => line.trim()).filter(Boolean);
    if (!lines.some((line) => HEARTBEAT.test(line))) return undefined;
    await shared().node?.call("cluster.heartbeat", {}).catch((error) => api.logger.warn(`clawster: heartbeat failed: ${error.message}`));
    const own = [...shared().told].filter(([, text]) => lines.includes(text));
    const isOwn = (line) => HEARTBEAT.test(line) || line === WITNESS || /^\[cluster\.\w+\] #\d+ /.test(line);
    if (!lines.includes(WITNESS) || !lines.every(isOwn)) return undefined; // Somebody else's reminder needs the model.
    // This turn takes the agent's own unread events out of the queue; another key keeps the new entry from being one of them.
    for (const [key, text] of own) tell(text, `${key}:${++shared().count}`, false);
    return { handled: true };
  }

  return {
    /** Subscribes, behind the last event that was seen before a restart. */
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
      const said = Object.entries(facts).filter(([, value]) => value !== null).map(([key, value]) => `${key}=${JSON.stringify(value)}`);
      const text = `[${name}] #${++state.count} ${said.join(" ")}`;
      // One unread text per event and node: OpenClaw keeps 20 in all, and those of others must not be pushed out.
      const key = `clawster:${name}:${event.node_id}`;
      state.told.delete(key);
      state.told.set(key, text);
      if (state.told.size > 200) state.told.delete(state.told.keys().next().value);
      tell(text, key, true);
      if (woken.has(name)) api.runtime.system.requestHeartbeat({ source: "other", intent: "immediate", reason: "wake", ...(agentId && target) });
    },
  };
}
