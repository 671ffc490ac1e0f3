// A stand-in for a model: an OpenAI-compatible server on loopback that streams what the test tells it to answer, and remembers what
// it was asked. It shows what a real model would have read and called, without one.

import { createServer } from "node:http";

export class Provider {
  /** Bodies of all requests so far, oldest first. */
  requests = [];
  /** Answers one request: a text, or `{tool, args}` for a call of a tool. */
  reply = () => "Understood.";
  /** Whether the answer to a request waits for `release`. */
  hang = () => false;
  /** How many requests were given up by the gateway. */
  aborted = 0;
  #held = [];

  /** Lets all requests that wait be answered. */
  release() {
    for (const go of this.#held.splice(0)) go();
  }

  async start() {
    this.server = createServer((request, response) => this.#serve(request, response));
    await new Promise((resolve) => this.server.listen(0, "127.0.0.1", resolve));
    this.url = `http://127.0.0.1:${this.server.address().port}/v1`;
  }

  stop() {
    this.server?.closeAllConnections();
    this.server?.close();
  }

  /** What goes into a gateway's configuration, so that its agent asks this server. */
  settings() {
    const model = {
      id: "stand-in",
      name: "Stand-in",
      reasoning: false,
      input: ["text"],
      cost: { input: 0, output: 0, cacheRead: 0, cacheWrite: 0 },
      contextWindow: 120_000,
      maxTokens: 4096,
    };
    const provider = { baseUrl: this.url, apiKey: "none", api: "openai-completions", models: [model] };
    return {
      models: { mode: "replace", providers: { loopback: provider } },
      agents: { defaults: { model: { primary: "loopback/stand-in" } } },
    };
  }

  async #serve(request, response) {
    let text = "";
    for await (const part of request.setEncoding("utf8")) text += part;
    if (request.method !== "POST" || !request.url.endsWith("/chat/completions")) {
      response.writeHead(404).end();
      return;
    }
    const body = JSON.parse(text);
    this.requests.push(body);
    response.once("close", () => response.writableFinished || this.aborted++);
    if (this.hang(body)) await new Promise((resolve) => this.#held.push(resolve));
    const answer = this.reply(body);
    const choice =
      typeof answer === "string"
        ? { delta: { role: "assistant", content: answer }, finish: "stop" }
        : { delta: { role: "assistant", content: null, tool_calls: [this.#call(answer)] }, finish: "tool_calls" };
    const chunk = (fields) => ({ id: "chatcmpl-1", object: "chat.completion.chunk", created: 1, model: body.model, ...fields });
    const chunks = [
      chunk({ choices: [{ index: 0, delta: choice.delta, finish_reason: null }] }),
      chunk({ choices: [{ index: 0, delta: {}, finish_reason: choice.finish }] }),
      chunk({ choices: [], usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 } }),
    ];
    response.writeHead(200, { "content-type": "text/event-stream" });
    for (const one of chunks) response.write(`data: ${JSON.stringify(one)}\n\n`);
    response.end("data: [DONE]\n\n");
  }

  #call({ tool, args }) {
    const id = `call_${this.requests.length}`;
    return { index: 0, id, type: "function", function: { name: tool, arguments: JSON.stringify(args) } };
  }
}
