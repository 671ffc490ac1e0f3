// A stand-in for the Bot API of Telegram on loopback. A gateway is known by the first word of the path, a bot by its token. It counts
// the open polls of each bot, hands out what the test pushes, and keeps what a bot sends.

import { createServer } from "node:http";

export class Telegram {
  /** What bots sent, as `{gateway, token, method, body}`, oldest first. */
  sent = [];
  #bots = new Map();
  #update = 1000;

  async start() {
    this.server = createServer((request, response) => this.#serve(request, response));
    this.server.requestTimeout = 0;
    await new Promise((resolve) => this.server.listen(0, "127.0.0.1", resolve));
    this.url = `http://127.0.0.1:${this.server.address().port}`;
  }

  stop() {
    this.server?.closeAllConnections();
    this.server?.close();
  }

  /** A bot: `polls` are open now, `most` were open at once, `overlaps` says when there were two, `gap` is the longest time without one in milliseconds. */
  bot(token) {
    if (!this.#bots.has(token)) this.#bots.set(token, { polls: new Set(), queue: [], most: 0, overlaps: [], gap: 0, closed: undefined, waiting: [] });
    return this.#bots.get(token);
  }

  /** Forgets what was counted; the polls stay. */
  reset(token) {
    const bot = this.bot(token);
    Object.assign(bot, { most: bot.polls.size, overlaps: [], gap: 0, closed: bot.polls.size ? undefined : performance.now() });
  }

  /** The gateways that poll for this bot now. */
  pollers(token) {
    return [...this.bot(token).polls].map(({ gateway }) => gateway);
  }

  /** Queues a private message for a bot. */
  push(token, { text, messageId, from = 77 }) {
    const user = { id: from, is_bot: false, first_name: "Tester", username: "tester" };
    const message = { message_id: messageId, date: Math.floor(Date.now() / 1000), text, from: user, chat: { id: from, type: "private", first_name: "Tester" } };
    const bot = this.bot(token);
    bot.queue.push({ update_id: ++this.#update, message });
    for (const wake of bot.waiting.splice(0)) wake();
  }

  async #serve(request, response) {
    let text = "";
    for await (const part of request.setEncoding("utf8")) text += part;
    const [, gateway, token, method] = /^\/([^/]+)\/bot([^/]+)\/(\w+)/.exec(request.url) ?? [];
    if (!method) return void response.writeHead(404).end();
    const body = text.startsWith("{") ? JSON.parse(text) : {};
    const answer = (result) => response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ ok: true, result }));
    if (method === "getUpdates") return void answer(await this.#poll(gateway, token, body, response));
    if (method === "getMe") return void answer({ id: Number(token.split(":")[0]), is_bot: true, first_name: "Bot", username: `bot${token.split(":")[0]}`, can_join_groups: true });
    if (method === "getWebhookInfo") return void answer({ url: "", has_custom_certificate: false, pending_update_count: 0 });
    this.sent.push({ gateway, token, method, body });
    if (!method.startsWith("send") || method === "sendChatAction") return void answer(true);
    answer({ message_id: this.sent.length, date: 1, chat: { id: Number(body.chat_id), type: "private" }, text: body.text });
  }

  async #poll(gateway, token, { offset = 0, timeout = 0 }, response) {
    const bot = this.bot(token);
    const poll = { gateway };
    if (bot.closed !== undefined) bot.gap = Math.max(bot.gap, performance.now() - bot.closed);
    bot.closed = undefined;
    bot.polls.add(poll);
    bot.most = Math.max(bot.most, bot.polls.size);
    if (bot.polls.size > 1) bot.overlaps.push({ at: new Date().toISOString(), by: this.pollers(token) });
    let gone;
    const closed = new Promise((resolve) => response.once("close", () => resolve((gone = true))));
    try {
      bot.queue = bot.queue.filter(({ update_id: id }) => id >= offset);
      const end = performance.now() + timeout * 1000;
      while (!gone && bot.queue.length === 0 && performance.now() < end) {
        const woken = new Promise((resolve) => bot.waiting.push(resolve));
        await Promise.race([woken, closed, new Promise((resolve) => setTimeout(resolve, Math.min(1000, end - performance.now())).unref())]);
      }
      return bot.queue;
    } finally {
      bot.polls.delete(poll);
      if (bot.polls.size === 0) bot.closed = performance.now();
    }
  }
}
