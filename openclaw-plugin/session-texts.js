// The texts of OpenClaw's conversations: which are copied, and how they are read and added.
import { createHash } from "node:crypto";
import { gatewayCall } from "./gateway.js";

const MAX_TEXT = 8_000;
const IMPORTED_AT_ONCE = 12; // OpenClaw takes 512 KiB at a time and leaves the rest out.
const TEXT_PARTS = ["text", "thinking", "toolCall"];
const SHARED = /:(group|channel|room|thread|topic):/; // Conversations of several people.

/** The same text as `itemOf` has it. */
export const shortened = (text) => String(text ?? "").slice(0, MAX_TEXT).toWellFormed();

/** A message of the conversation as an item of the copy; `undefined` if it is not one that is copied. */
export function itemOf({ role, content, timestamp, idempotencyKey, __openclaw: { transport, media, senderName } = {} }, copy) {
  if (role === "user") copy.replying = transport?.channel !== undefined && transport.clients === undefined; // Not the Control UI's own chat.
  if (!copy.replying || (role !== "user" && role !== "assistant")) return undefined;
  const parts = Array.isArray(content) ? content : [{ type: "text", text: String(content ?? "") }];
  const texts = parts.filter(({ type }) => type === "text").map(({ text }) => text);
  if (media?.length > 0 || parts.some(({ type }) => !TEXT_PARTS.includes(type))) texts.push("[an attachment, which is on another gateway]");
  const text = shortened(texts.join("\n"));
  if (text.trim() === "") return undefined;
  const id = idempotencyKey ?? createHash("sha256").update(JSON.stringify([copy.session, role, timestamp, text])).digest("hex");
  const sender = role === "user" && SHARED.test(copy.session) ? senderName : undefined;
  return { id, role, text, sender, at: Date.now(), sent: timestamp, channel: transport?.channel, message: transport?.messageId };
}

/** Whether an item, which any member may have written, is a text that can be added. */
export const isText = ({ id, role, text, sent = 0 }) =>
  typeof id === "string" && typeof text === "string" && ["user", "assistant"].includes(role) && Number.isFinite(new Date(sent).getTime());

/** What of OpenClaw reads and changes conversations. */
export function openclaw(api) {
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
      const texts = items.map(({ id, role, text, sender, sent }) => ({
        id,
        type: role === "user" ? "userMessage" : "agentMessage",
        text: typeof sender === "string" ? `${sender}: ${text}` : text,
        timestamp: new Date(sent ?? Date.now()).toISOString(),
      }));
      // The same item is added once to the same conversation, and again to one that was started anew.
      const place = { catalogId: "clawster", threadId: String(sessionStartedAt), sessionId, sessionKey, agentId: agentOf(sessionKey), config: api.config };
      for (let from = 0; from < texts.length; from += IMPORTED_AT_ONCE) {
        const newestFirst = texts.slice(from, from + IMPORTED_AT_ONCE).reverse();
        await importSessionCatalogHistory({ ...place, read: async () => ({ items: newestFirst }) });
      }
    },
  };
}
