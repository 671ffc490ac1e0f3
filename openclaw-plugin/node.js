// The gateway's child process `clawster serve`: started, restarted, spoken to in JSON-RPC 2.0, a text per line.
import { spawn } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 30_000;
const WAIT_FOR_CHILD_MS = 5_000;
const END_WITHIN_MS = 4_500; // OpenClaw gives a plugin that it reloads 5 s; the process itself needs 4 s at most.
const MOST_UNREAD_BYTES = 64 << 20;
const PING_MS = 5_000;
const UNHEARD_PINGS = 2; // A silent process is killed one tick after these: 10 to 15 s after it froze.
const PINGS_FOR_START = 12; // As many more before its first word: it may start a private Redis.
const PING = // The process's main loop answers it, and needs no Redis for that.
  '{"jsonrpc":"2.0","id":0,"method":"distributed.get_cluster_state"}\n';

// Service, hooks and tools come from different copies of this module, so what they share hangs on the process.
export const shared = () => (globalThis[Symbol.for("clawster.openclaw")] ??= { node: undefined, told: new Map(), count: 0 });

/** A failed call. `data` has `kind` and `retryable`; the name makes OpenClaw show the message to whoever called. */
export class CallError extends Error {
  constructor({ code, message, data }) {
    const hint = data?.kind && code !== -32602 ? ` (${data.kind}${data.retryable ? ", the same call may succeed later" : ""})` : "";
    super(message + hint);
    Object.assign(this, { name: "ToolInputError", code, data });
  }
}

export const unavailable = (message) =>
  new CallError({ code: -32603, message, data: { kind: "node_unavailable", retryable: true } });

export class Node {
  #child; #running; #stop = new AbortController(); #id = 0; #pending = new Map(); #unheard = 0;

  /** `launch()` gives program and options; `onStart(node)` runs after each start; `onEvent(event)` gets notifications. */
  constructor(parts) {
    Object.assign(this, { pingMs: PING_MS }, parts);
    this.#running = this.#keepRunning();
  }

  /** Keeps one process running until `stop`. Never fails: what goes wrong is logged and tried again. */
  async #keepRunning() {
    const { signal } = this.#stop;
    for (let pause = FIRST_PAUSE_MS; !signal.aborted; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
      const started = Date.now();
      const why = await this.#live().catch((error) => `cannot be started: ${error.message}`);
      if (signal.aborted) return;
      if (Date.now() - started > LONGEST_PAUSE_MS) pause = FIRST_PAUSE_MS;
      this.logger.error(`clawster: the node's process ${why}; it is started again in ${pause} ms`);
      await sleep(pause, undefined, { signal }).catch(() => {});
    }
  }

  /** One life of the process: resolves with how it ended, rejects when it did not start. */
  async #live() {
    const { program, ...options } = this.launch();
    const child = spawn(program, ["serve"], { ...options, stdio: "pipe" });
    const ended = new Promise((resolve, reject) => {
      child.on("error", (error) => child.pid || reject(error));
      child.once("close", (code, signal) => resolve(`ended with ${signal ?? `code ${code}`}`));
    });
    if (!child.pid) return ended; // It may have no pipes, either.
    child.stdin.on("error", () => {}); // "close" tells.
    child.stdout.on("data", () => (this.#unheard = 0));
    lines(child.stdout, (line) => this.#receive(line));
    lines(child.stderr, (line) => this.#log(line));
    this.#child = child;
    this.logger.info(`clawster: the node runs as process ${child.pid}`);
    this.#unheard = -PINGS_FOR_START;
    const watch = setInterval(() => this.#ping(child), this.pingMs);
    this.onStart(this);
    const why = await ended;
    clearInterval(watch);
    this.#lose(unavailable("the node's process ended before it answered; whether the call was done is not known"));
    return why;
  }

  /** Kills a process that says nothing any more. Ticks are counted, not time: a gateway that slept itself proves nothing. */
  #ping(child) {
    if (this.#unheard++ < UNHEARD_PINGS) return child.stdin.write(PING);
    if (this.#child !== child) return child.kill("SIGKILL"); // It was killed with an earlier tick, and has not ended yet.
    this.logger.error(`clawster: the node's process ${child.pid} does not answer any more; it is killed`);
    child.kill("SIGKILL");
    const message = "the node's process does not answer; the call may have taken effect";
    this.#lose(new CallError({ code: -32011, message, data: { kind: "timeout", retryable: false } }));
  }

  /** The process takes no more calls, and those that wait for it end. */
  #lose(error) {
    this.#child = undefined;
    for (const { reject } of this.#pending.values()) reject(error);
  }

  /** Ends the process: it leaves the cluster when its standard input ends. */
  async stop() {
    this.#stop.abort();
    this.#child?.stdin.end();
    const kill = setTimeout(() => this.#child?.kill("SIGKILL"), END_WITHIN_MS);
    await this.#running;
    clearTimeout(kill);
  }

  /** Calls a method; waits shortly for a process that is being restarted. */
  async call(method, params, signal) {
    for (let waited = 0; !this.#child && !this.#stop.signal.aborted && waited < WAIT_FOR_CHILD_MS; waited += 50) await sleep(50);
    signal?.throwIfAborted();
    const stdin = this.#child?.stdin;
    if (!stdin) throw unavailable("the node of this gateway is not running; it is being restarted, see the gateway's log");
    if (stdin.writableLength > MOST_UNREAD_BYTES) throw unavailable("the node has much to read still; nothing of this call was sent");
    const id = ++this.#id;
    let resolve, reject;
    const promise = new Promise((...both) => ([resolve, reject] = both));
    const abort = () => reject(signal.reason);
    signal?.addEventListener("abort", abort);
    this.#pending.set(id, { resolve, reject });
    stdin.write(`${JSON.stringify({ jsonrpc: "2.0", id, method, params })}\n`);
    return promise.finally(() => {
      this.#pending.delete(id);
      signal?.removeEventListener("abort", abort);
    });
  }

  #receive(line) {
    try {
      const { method, params, id, error, result } = JSON.parse(line);
      if (method) return this.onEvent(params.result);
      const request = this.#pending.get(id);
      if (error) request?.reject(new CallError(error));
      else request?.resolve(result);
    } catch (error) {
      this.logger.warn(`clawster: cannot use what the node says: ${error.message}: ${line.slice(0, 200)}`);
    }
  }

  /** A line of the node's log goes to the gateway's log at its level; what has none comes from a start that failed. */
  #log(line) {
    const [prefix, text, json] = /^\S+Z +([A-Z]+) |^\{.*"level":"([a-z]+)"/.exec(line) ?? [];
    const name = (text ?? json ?? "error").toLowerCase();
    const write = this.logger[name] ?? this.logger.debug ?? this.logger.info;
    write.call(this.logger, `clawster: ${text ? line.slice(prefix.length) : line}`);
  }
}

/** Calls `take` for each line. (Node's readline also splits at U+2028, which JSON may contain.) */
function lines(stream, take) {
  let parts = []; // Not one text: that would copy a long line with every chunk of it.
  stream.setEncoding("utf8").on("data", (chunk) => {
    const [first, ...rest] = chunk.split("\n");
    parts.push(first);
    for (const next of rest) {
      const line = parts.join("");
      parts = [next];
      if (line.trim()) take(line);
    }
  });
}
