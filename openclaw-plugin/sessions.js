// The history of chosen conversations, copied to the cluster: the gateway that takes over a channel account goes on with it.
//
// 1. Only texts are copied: what came through a channel, and the replies to it.
// 2. A message never waits longer than BRING_MS for the copy, and is handled without it then.
// 3. Where somebody starts a conversation anew, the gateway that takes it over does the same, before its account starts: OpenClaw drops
//    a message that arrives while its conversation is started anew.
// 4. A gateway that ends its part without knowing that it is the newest, ends nobody else's.
import { setTimeout as sleep } from "node:timers/promises";
import { shared } from "./node.js";
import { isText, itemOf, openclaw, shortened } from "./session-texts.js";

const BRING_MS = 5_000;
const CALL_MS = 4_000;
const RETRY_MS = 1_000;
const MAX_BATCH = 50;
const RESTART = "restart";
const REFUSED = [-32602, -32005];
const CLOCKS_MS = 60_000; // How far the clock of another gateway may be ahead.
const DAY_MS = 86_400_000;

export function registerSessions(api, { sessions }, host = openclaw(api)) {
  delete shared().catchUp; // Of an earlier registration, which may have had other settings.
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
  const own = async () => (await call("distributed.get_cluster_state", {})).node_id;

  const written = ({ message }, { sessionKey } = {}) => {
    const copy = copyOf(sessionKey);
    const item = copy && itemOf(message, copy);
    if (!item || copy.seen.includes(item.id)) return; // OpenClaw tells of a message of a channel twice.
    copy.seen = [...copy.seen.slice(-20), item.id];
    append(copy, item);
  };
  api.on("before_message_write", written, { priority: -1_000 }); // After plugins that change or hold back a text.
  api.on("session_end", ({ reason, nextSessionKey }, { sessionKey } = {}) => {
    const copy = copyOf(sessionKey);
    if (!copy || copy.resetting || (nextSessionKey ?? sessionKey) !== sessionKey) return; // A new conversation beside it ends nothing.
    if (["new", "reset"].includes(reason)) restart(copy);
    if (["idle", "daily", "deleted"].includes(reason)) restart(copy, true);
  });
  api.on("before_dispatch", async (event, ctx) => {
    const copy = copyOf(ctx.sessionKey ?? event.sessionKey);
    if (!copy) return;
    const comes = { channel: ctx.channelId, message: ctx.messageId ?? event.messageId, text: shortened(event.content) };
    if (await inTime((late) => inTurn(copy, () => bring(copy, comes, late)))) return;
    logger.warn(`clawster: the cluster's copy of ${copy.session} is not there after ${BRING_MS / 1_000} s; the agent answers without it`);
  });
  /** Starts anew what others have started anew; for a gateway that is about to serve an account, and handles no message of it yet. */
  shared().catchUp = () => inTime(async (late) => {
    for (const copy of (await host.sessions()).map(copyOf).filter(Boolean)) {
      if (!late.aborted) await inTurn(copy, () => follow(copy, late));
    }
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

  /** Ends what the copy holds; `unlessOthers`: only if nobody else has gone on with it. */
  function restart(copy, unlessOthers = false) {
    copy.queue = [];
    copy.unlessOthers = unlessOthers;
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
      const restarts = items[0].role === RESTART;
      try {
        if (restarts && copy.unlessOthers && !(await isLast(copy))) items.length = 1; // Only the restart is dropped.
        else {
          if (restarts) copy.began = { at: items[0].at, by: await own() };
          const marked = items.map((one) => (one.role === RESTART ? one : { ...one, began: copy.began }));
          await call("cluster.append_transcript", { session: copy.session, items: marked, restart: restarts, keep_items: keepItems, keep_ms: keepDays * DAY_MS });
        }
      } catch (error) {
        if (!REFUSED.includes(error.code)) {
          if (restarts) copy.unlessOthers = true; // Others may go on with the conversation until this one can be sent.
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

  /** All items behind a position. */
  async function readAll({ session }, after) {
    const items = [];
    for (let more = true; more;) {
      const page = await call("cluster.read_transcript", { session, after });
      if (page.from_start) items.length = 0;
      items.push(...page.items);
      after = page.items.at(-1)?.position ?? after;
      more = page.more && page.items.length > 0;
    }
    return { items, after };
  }

  /** Whether nobody else has appended last. */
  async function isLast(copy) {
    const name = await own();
    return ((await readAll(copy)).items.at(-1)?.node_id ?? name) === name;
  }

  /** Starts the conversation anew if another gateway has, since this one's began. */
  async function follow(copy, late) {
    const entry = await host.entry(copy.session);
    const began = entry && beganOf((await readAll(copy)).items.at(-1));
    if (!began || began.by === (await own()) || !(began.at > entry.sessionStartedAt && began.at < Date.now() + CLOCKS_MS) || late.aborted) return;
    copy.resetting = true;
    await host.reset(copy.session).finally(() => (copy.resetting = false));
  }

  /** Brings into this gateway's conversation what others have added since, but for the message that comes now. */
  async function bring(copy, comes, late) {
    const entry = await host.entry(copy.session);
    if (!entry || copy.queue.some(({ role }) => role === RESTART)) return; // The cluster does not know yet that it ended here.
    if (copy.started !== entry.sessionStartedAt) copy.after = undefined; // A new conversation holds nothing yet.
    copy.started = entry.sessionStartedAt;
    const name = await own();
    const { items, after } = await readAll(copy, copy.after);
    const cut = items.findLastIndex(({ item }) => item.role === RESTART);
    const fresh = items.slice(cut + 1);
    copy.began = beganOf(items.at(-1)) ?? beganOf(items[cut]) ?? copy.began;
    const isHere = ({ node_id: by, item }) => by === name && item.at >= copy.started;
    const here = new Set(fresh.filter(isHere).map(({ item }) => item.id));
    const isComing = ({ channel, message, text }) => message !== undefined && message === comes.message && channel === comes.channel && text === comes.text;
    const missing = fresh.filter((one) => isText(one.item) && !isHere(one) && !here.has(one.item.id) && !isComing(one.item));
    if (late.aborted) return;
    if (missing.length > 0) {
      await host.add(copy.session, entry, missing.map(({ item }) => item));
      logger.info(`clawster: ${copy.session} goes on with ${missing.length} messages of ${[...new Set(missing.map(({ node_id: by }) => by))].join(", ")}`);
    }
    copy.after = after;
  }
}

/** When and where the conversation was started anew that this item belongs to, as far as it tells. */
function beganOf({ item, node_id: by } = {}) {
  const began = item?.role === RESTART ? { at: item.at, by } : { at: item?.began?.at, by: item?.began?.by };
  return typeof began.at === "number" && typeof began.by === "string" && began.by.length <= 128 ? began : undefined;
}
