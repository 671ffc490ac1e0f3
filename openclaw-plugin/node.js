// The gateway's child process `clawster serve`: started, restarted, spoken to in JSON-RPC 2.0, a text per line.
import { spawn } from "node:child_process";

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 30_000;
const STABLE_AFTER_MS = 60_000;
const WAIT_FOR_CHILD_MS = 5_000;
const END_WITHIN_MS = 6_000;

// Service and tools come from different copies of this module, so what they share hangs on the process.
const KEY = Symbol.for("clawster.openclaw");
export const shared = () => (globalThis[KEY] ??= { node: undefined, told: new Map(), count: 0 });

/** A failed call. `data` has `kind` and `retryable`; the name makes OpenClaw show the message to whoever called. */
export class CallError extends Error {
  constructor({ code, message, data = {} }) {
    const hint = code === -32602 ? "" : ` (${data.kind ?? code}${data.retryable ? ", the same call may succeed later" : ""})`;
    super(message + hint);
    Object.assign(this, { name: "ToolInputError", code, data });
  }
}

const unavailable = (message) =>
  new CallError({ code: -32603, message, data: { kind: "node_unavailable", retryable: true } });

export class Node {
  #child; #ended; #timer; #stopping = false; #pause = FIRST_PAUSE_MS; #id = 0; #pending = new Map(); #waiters = new Set();

  /** `launch()` gives the options of the process; `onStart(node)` runs after each start; `onEvent(event)` gets notifications. */
  constructor({ launch, logger, onStart, onEvent }) {
    Object.assign(this, { launch, logger, onStart, onEvent });
  }

  start() {
    const started = Date.now();
    const child = spawn("clawster", ["serve"], { ...this.launch(), stdio: ["pipe", "pipe", "pipe"] });
    this.#child = child;
    this.#ended = new Promise((resolve) => {
      let over = false;
      const end = (why) => {
        if (over) return;
        over = true;
        resolve();
        this.#afterEnd(child, why, Date.now() - started);
      };
      child.once("error", (error) => end(`cannot be started: ${error.message}`));
      child.once("close", (code, signal) => end(`ended with ${signal ?? `code ${code}`}`));
    });
    child.stdin.on("error", () => {}); // Its end is noticed by "close".
    lines(child.stdout, (line) => this.#receive(line));
    lines(child.stderr, (line) => this.#log(line));
    child.once("spawn", () => {
      this.logger.info(`clawster: the node runs as process ${child.pid}`);
      for (const wake of [...this.#waiters]) wake();
      this.onStart(this);
    });
  }

  /** Ends the process: it leaves the cluster when its standard input ends. */
  async stop() {
    this.#stopping = true;
    clearTimeout(this.#timer);
    for (const wake of [...this.#waiters]) wake();
    const child = this.#child;
    if (!child) return;
    child.stdin.end();
    const kill = setTimeout(() => child.kill("SIGKILL"), END_WITHIN_MS);
    await this.#ended;
    clearTimeout(kill);
  }

  /** Calls a method; waits shortly for a process that is being restarted. */
  async call(method, params, signal) {
    if (!this.#child?.pid) await this.#running();
    signal?.throwIfAborted();
    const child = this.#child;
    if (!child?.pid) throw unavailable("the node of this gateway is not running; it is being restarted, see the gateway's log");
    const id = ++this.#id;
    return new Promise((resolve, reject) => {
      const abort = () => this.#pending.delete(id) && reject(signal.reason);
      signal?.addEventListener("abort", abort, { once: true });
      const done = (settle) => (value) => (signal?.removeEventListener("abort", abort), settle(value));
      this.#pending.set(id, { child, resolve: done(resolve), reject: done(reject) });
      child.stdin.write(`${JSON.stringify({ jsonrpc: "2.0", id, method, params })}\n`);
    });
  }

  #running() {
    return new Promise((resolve) => {
      const wake = () => (clearTimeout(timer), this.#waiters.delete(wake), resolve());
      const timer = setTimeout(wake, this.#stopping ? 0 : WAIT_FOR_CHILD_MS);
      this.#waiters.add(wake);
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
    if (!this.#pending.delete(message.id)) return;
    if (message.error) request.reject(new CallError(message.error));
    else request.resolve(message.result);
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
    const level = /^\S+Z +(ERROR|WARN|INFO|DEBUG|TRACE) |"level":"(ERROR|WARN|INFO|DEBUG|TRACE)"/i.exec(line);
    const name = (level?.[1] ?? level?.[2] ?? "error").toLowerCase();
    const text = line.replace(/^\S+Z +[A-Z]+ /, "");
    (this.logger[name === "trace" ? "debug" : name] ?? this.logger.info).call(this.logger, `clawster: ${text}`);
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
