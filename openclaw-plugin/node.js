// The gateway's child process `clawster serve`: started, restarted, spoken to in JSON-RPC 2.0, a text per line.
import { spawn } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 30_000;
const STABLE_AFTER_MS = 60_000;
const WAIT_FOR_CHILD_MS = 5_000;
const END_WITHIN_MS = 6_000;

// Service, hooks and tools come from different copies of this module, so what they share hangs on the process.
export const shared = () => (globalThis[Symbol.for("clawster.openclaw")] ??= { node: undefined, told: new Map(), count: 0 });

/** A failed call. `data` has `kind` and `retryable`; the name makes OpenClaw show the message to whoever called. */
export class CallError extends Error {
  constructor({ code, message, data = {} }) {
    super(code === -32602 ? message : `${message} (${data.kind}${data.retryable ? ", the same call may succeed later" : ""})`);
    Object.assign(this, { name: "ToolInputError", code, data });
  }
}

export const unavailable = (message) =>
  new CallError({ code: -32603, message, data: { kind: "node_unavailable", retryable: true } });

export class Node {
  #child; #ended; #timer; #stopping = false; #pause = FIRST_PAUSE_MS; #id = 0; #pending = new Map();

  /** `launch()` gives the options of the process; `onStart(node)` runs after each start; `onEvent(event)` gets notifications. */
  constructor(parts) {
    Object.assign(this, parts);
  }

  start() {
    try {
      this.#start();
    } catch (error) {
      this.#afterEnd(undefined, `cannot be started: ${error.message}`, 0);
    }
  }

  #start() {
    const started = Date.now();
    const child = spawn("clawster", ["serve"], { ...this.launch(), stdio: ["pipe", "pipe", "pipe"] });
    this.#child = child;
    this.#ended = new Promise((resolve) => {
      const end = (why) => (resolve(), this.#afterEnd(child, why, Date.now() - started));
      child.once("error", (error) => child.pid || end(`cannot be started: ${error.message}`));
      child.once("close", (code, signal) => child.pid && end(`ended with ${signal ?? `code ${code}`}`));
    });
    child.stdin.on("error", () => {}); // "close" tells.
    lines(child.stdout, (line) => this.#receive(line));
    lines(child.stderr, (line) => this.#log(line));
    child.once("spawn", () => {
      this.logger.info(`clawster: the node runs as process ${child.pid}`);
      this.onStart(this);
    });
  }

  /** Ends the process: it leaves the cluster when its standard input ends. */
  async stop() {
    this.#stopping = true;
    clearTimeout(this.#timer);
    const child = this.#child;
    if (!child) return;
    child.stdin.end();
    const kill = setTimeout(() => child.kill("SIGKILL"), END_WITHIN_MS);
    await this.#ended;
    clearTimeout(kill);
  }

  /** Calls a method; waits shortly for a process that is being restarted. */
  async call(method, params, signal) {
    for (let waited = 0; !this.#child?.pid && !this.#stopping && waited < WAIT_FOR_CHILD_MS; waited += 50) await sleep(50);
    signal?.throwIfAborted();
    const child = this.#child;
    if (!child?.pid) throw unavailable("the node of this gateway is not running; it is being restarted, see the gateway's log");
    const id = ++this.#id;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { child, resolve, reject });
      signal?.addEventListener("abort", () => this.#pending.delete(id) && reject(signal.reason), { once: true });
      child.stdin.write(`${JSON.stringify({ jsonrpc: "2.0", id, method, params })}\n`);
    });
  }

  #receive(line) {
    let message;
    try {
      message = JSON.parse(line);
    } catch {
      return this.logger.warn(`clawster: not JSON on the node's standard output: ${line.slice(0, 200)}`);
    }
    if (message.method) return this.onEvent(message.params?.result ?? {});
    const request = this.#pending.get(message.id);
    this.#pending.delete(message.id);
    if (message.error) request?.reject(new CallError(message.error));
    else request?.resolve(message.result);
  }

  #afterEnd(child, why, lived) {
    if (this.#child === child) this.#child = undefined;
    for (const [id, request] of this.#pending) {
      if (request.child !== child) continue;
      this.#pending.delete(id);
      request.reject(unavailable("the node's process ended before it answered; whether the call was done is not known"));
    }
    if (this.#stopping) return;
    if (lived > STABLE_AFTER_MS) this.#pause = FIRST_PAUSE_MS;
    this.logger.error(`clawster: the node's process ${why}; it is started again in ${this.#pause} ms`);
    this.#timer = setTimeout(() => this.start(), this.#pause);
    this.#pause = Math.min(this.#pause * 2, LONGEST_PAUSE_MS);
  }

  /** A line of the node's log goes to the gateway's log at its level; what has none comes from a start that failed. */
  #log(line) {
    const level = /^\S+Z +([A-Z]+) |"level":"([A-Za-z]+)"/.exec(line);
    const name = (level?.[1] ?? level?.[2] ?? "error").toLowerCase();
    const write = this.logger[name] ?? this.logger.debug ?? this.logger.info;
    write.call(this.logger, `clawster: ${line.replace(/^\S+Z +[A-Z]+ /, "")}`);
  }
}

/** Calls `take` for each line. (Node's readline also splits at U+2028, which JSON may contain.) */
function lines(stream, take) {
  let parts = [];
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
