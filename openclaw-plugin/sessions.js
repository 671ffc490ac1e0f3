// The history of chosen conversations, copied to the cluster: the gateway that takes over a channel account goes on with it.
//
// 1. Only texts are copied: what came through a channel, and the replies to it.
// 2. A message never waits longer than BRING_MS for the copy, and is handled without it then.
// 3. Where somebody starts a conversation anew, the gateway that takes it over does the same, before its account starts: OpenClaw drops
//    a message that arrives while its conversation is started anew.
import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { gatewayCall } from "./gateway.js";
import { shared } from "./node.js";

const BRING_MS = 5_000;
const CALL_MS = 4_000;
const RETRY_MS = 1_000;
const MAX_TEXT = 8_000;
const MAX_BATCH = 100;
const RESTART = "restart";
const TEXT_PARTS = ["text", "thinking", "toolCall"];
const DAY_MS = 86_400_000;

export function registerSessions(api, { sessions }, host = openclaw(api)) {
  const { mirror = [], keepItems = 200, keepDays = 7 } = sessions ?? {};
  if (mirror.length === 0) return;
  const { logger } = api;
  const wanted = mirror.map((pattern) => new RegExp(pattern));
  const copies = (shared().copies ??= new Map()); // OpenClaw registers plugins more than once.
  const copyOf = (session) => {
    if (!session || !wanted.some((pattern) => pattern.test(session))) return undefined;
    if (!copies.has(session)) copies.set(session, { session, queue: [], seen: [], turn: Promise.resolve() });
    return copies.get(session);
  };
  const call = async (method, params) => {
    const { node } = shared();
    if (!node) throw new Error("the node is not running");
    return node.call(method, params, undefined, CALL_MS);
  };

  api.on("before_message_write", ({ message }, { sessionKey } = {}) => {
    const copy = copyOf(sessionKey);
    const item = copy && itemOf(message, copy);
    if (!item || copy.seen.includes(item.id)) return; // OpenClaw tells of a message of a channel twice.
    copy.seen = [...copy.seen.slice(-20), item.id];
    append(copy, item);
  });
  api.on("session_end", ({ reason }, { sessionKey } = {}) => {
    const copy = copyOf(sessionKey);
    if (!copy || copy.resetting) return;
    if (["new", "reset", "deleted"].includes(reason)) restart(copy);
    // A gateway that did not have the conversation last ends its own old part of it, not the others' newer one.
    if (["idle", "daily"].includes(reason)) inTurn(copy, async () => (await isLast(copy)) && restart(copy));
  });
  api.on("before_dispatch", async (event, ctx) => {
    const copy = copyOf(ctx.sessionKey ?? event.sessionKey);
    if (!copy) return;
    if (await inTime((late) => inTurn(copy, () => bring(copy, ctx, late)))) return;
    logger.warn(`clawster: the cluster's copy of ${copy.session} is not there after ${BRING_MS / 1_000} s; the agent answers without it`);
  });
  /** Catches up with all conversations; for a gateway that is about to serve an account, and handles no message of it yet. */
  shared().catchUp = () => inTime(async (late) => {
    const known = (await host.sessions()).map(copyOf).filter(Boolean);
    await Promise.all(known.map((copy) => inTurn(copy, () => bring(copy, { mayRestart: true }, late))));
  });

  /** Whether the work ends in time; it is told when it is late. */
  async function inTime(work) {
    const late = new AbortController();
    const ended = work(late.signal).catch((error) => logger.warn(`clawster: the cluster's copies of conversations: ${error.message}`));
    if ((await Promise.race([ended, sleep(BRING_MS, "late", { ref: false })])) !== "late") return true;
    late.abort();
    return false;
  }

  /** Runs one after the other what belongs to one conversation. */
  function inTurn(copy, work) {
    copy.turn = copy.turn.then(work).catch((error) => logger.warn(`clawster: the cluster's copy of ${copy.session}: ${error.message}`));
    return copy.turn;
  }

  function restart(copy) {
    copy.queue = [];
    append(copy, { id: `${RESTART}:${Date.now()}`, role: RESTART, at: Date.now() });
  }

  /** Sends the item to the cluster in the background, after those before it, and as often as it takes. */
  async function append(copy, item) {
    copy.queue.push(item);
    if (copy.queue.length > keepItems) copy.queue.splice(copy.queue[0].role === RESTART ? 1 : 0, 1);
    if (copy.sending) return;
    copy.sending = true;
    for (let told = false; copy.queue.length > 0;) {
      const items = copy.queue.slice(0, MAX_BATCH);
      const params = { session: copy.session, items, restart: items[0].role === RESTART, keep_items: keepItems, keep_ms: keepDays * DAY_MS };
      try {
        ({ position: copy.position } = await call("cluster.append_transcript", params));
      } catch (error) {
        if (error.code !== -32602) {
          if (!told) logger.warn(`clawster: cannot copy ${copy.session} to the cluster, trying again: ${error.message}`);
          told = true;
          await sleep(RETRY_MS, undefined, { ref: false });
          continue;
        }
        logger.error(`clawster: the cluster refuses a part of ${copy.session}: ${error.message}`);
      }
      copy.queue = copy.queue.filter((one) => !items.includes(one));
    }
    copy.sending = false;
  }

  /** Whether nobody has appended since this gateway did. */
  async function isLast({ session, position }) {
    if (!position) return false;
    const { items, from_start: lost } = await call("cluster.read_transcript", { session, after: position, limit: 1 });
    return items.length === 0 && !lost;
  }

  /** Brings into this gateway's conversation what others have added since. */
  async function bring(copy, { channelId, messageId, mayRestart = false }, late) {
    let entry = await host.entry(copy.session);
    if (!entry) return;
    if (copy.started !== entry.sessionStartedAt) copy.after = undefined; // A new conversation holds nothing yet.
    copy.started = entry.sessionStartedAt;
    const { node_id: own } = await call("distributed.get_cluster_state", {});
    const items = [];
    let after = copy.after;
    for (let more = true; more;) {
      const page = await call("cluster.read_transcript", { session: copy.session, after });
      if (page.from_start) items.length = 0;
      items.push(...page.items);
      after = page.items.at(-1)?.position ?? after;
      more = page.more && page.items.length > 0;
    }
    const cut = items.findLastIndex(({ item }) => item.role === RESTART);
    if (late.aborted) return;
    if (mayRestart && cut >= 0 && items[cut].node_id !== own && items[cut].item.at > copy.started) {
      copy.resetting = true;
      await host.reset(copy.session).finally(() => (copy.resetting = false));
      entry = await host.entry(copy.session);
      copy.started = entry.sessionStartedAt;
    }
    const missing = items.slice(cut + 1).filter(({ node_id: by, item }) => {
      if (by === own && item.at >= copy.started) return false;
      return !(item.message !== undefined && item.message === messageId && item.channel === channelId); // It comes now, from the channel.
    });
    if (late.aborted) return;
    if (missing.length > 0) {
      await host.add(copy.session, entry, missing.map(({ item }) => item));
      logger.info(`clawster: ${copy.session} goes on with ${missing.length} messages of ${[...new Set(missing.map(({ node_id: by }) => by))].join(", ")}`);
    }
    copy.after = after;
  }
}

/** A message of the conversation as an item of the copy; `undefined` if it is not one that is copied. */
function itemOf({ role, content, timestamp, idempotencyKey, __openclaw: { transport, media } = {} }, copy) {
  if (role === "user") copy.replying = transport !== undefined;
  if (!copy.replying || (role !== "user" && role !== "assistant")) return undefined;
  const parts = Array.isArray(content) ? content : [{ type: "text", text: String(content ?? "") }];
  const texts = parts.filter(({ type }) => type === "text").map(({ text }) => text);
  if (media?.length > 0 || parts.some(({ type }) => !TEXT_PARTS.includes(type))) texts.push("[an attachment, which is on another gateway]");
  const text = texts.join("\n").slice(0, MAX_TEXT).toWellFormed();
  if (text.trim() === "") return undefined;
  const id = idempotencyKey ?? createHash("sha256").update(JSON.stringify([copy.session, role, timestamp, text])).digest("hex");
  return { id, role, text, at: Date.now(), sent: timestamp, channel: transport?.channel, message: transport?.messageId };
}

/** What of OpenClaw reads and changes conversations. */
function openclaw(api) {
  const agentOf = (session) => /^agent:([^:]+):/.exec(session)?.[1] ?? "main";
  return {
    async sessions() {
      const { listSessionEntries } = await import("openclaw/plugin-sdk/session-store-runtime");
      const { list = [], entries = {} } = api.config.agents ?? {};
      const agents = new Set(["main", ...Object.keys(entries), ...list.map(({ id }) => id)]);
      return [...agents].flatMap((agentId) => listSessionEntries({ agentId }).map(({ sessionKey }) => sessionKey));
    },
    async entry(sessionKey) {
      const { getSessionEntry } = await import("openclaw/plugin-sdk/session-store-runtime");
      return getSessionEntry({ sessionKey, agentId: agentOf(sessionKey) });
    },
    reset: (key) => gatewayCall("sessions.reset", { key, reason: "new" }),
    async add(sessionKey, { sessionId, sessionStartedAt }, items) {
      const { importSessionCatalogHistory } = await import("openclaw/plugin-sdk/session-catalog");
      const newestFirst = items.toReversed().map(({ id, role, text, sent }) => ({
        id, text, type: role === "user" ? "userMessage" : "agentMessage", timestamp: new Date(sent ?? Date.now()).toISOString(),
      }));
      const read = async () => ({ items: newestFirst });
      // The same item is added once to the same conversation, and again to one that was started anew.
      await importSessionCatalogHistory({ catalogId: "clawster", threadId: String(sessionStartedAt), sessionId, sessionKey, agentId: agentOf(sessionKey), config: api.config, read });
    },
  };
}
