// The gateway's child process `clawster serve`: starts and restarts it, and talks to it in JSON-RPC 2.0, one message per line.
import { spawn } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";

const MIN_RESTART_DELAY_MS = 500;
const MAX_RESTART_DELAY_MS = 30_000;
const WAIT_FOR_CHILD_MS = 5_000;
const STOP_TIMEOUT_MS = 4_500; // OpenClaw waits 5 s when it reloads a plugin; the process itself needs 4 s at most.
const MAX_UNREAD_BYTES = 64 << 20;
const CALL_TIMEOUT_MS = 60_000; // Beside the time that the call itself may wait; the process answers within 40 s what it can answer.
const MAX_TIMER_MS = 2 ** 31 - 1;
const PING_INTERVAL_MS = 5_000;
const MAX_UNANSWERED_PINGS = 2; // The next tick kills the process: 10 to 15 s after it froze.
const EXTRA_START_PINGS = 12; // More pings before its first output, because it may start a private Redis.
const PING = // The process's main loop answers this, without Redis.
  '{"jsonrpc":"2.0","id":0,"method":"distributed.get_cluster_state"}\n';

// Service, hooks and tools use different copies of this module, so shared state is stored globally in the process.
export const shared = () => (globalThis[Symbol.for("clawster.openclaw")] ??= { node: undefined, told: new Map(), count: 0 });

/** A failed call. `data` has `kind` and `retryable`; the name makes OpenClaw show the message to the caller. */
export class CallError extends Error {
  constructor({ code, message, data }) {
    const hint = data?.kind && code !== -32602 ? ` (${data.kind}${data.retryable ? ", the same call may succeed later" : ""})` : "";
    super(message + hint);
    Object.assign(this, { name: "ToolInputError", code, data });
  }
}

export const unavailable = (message) =>
  new CallError({ code: -32603, message, data: { kind: "node_unavailable", retryable: true } });

const timedOut = (message) => new CallError({ code: -32011, message, data: { kind: "timeout", retryable: false } });

/** How long a call with these parameters may wait by itself, in milliseconds. */
const waits = ({ wait_ms: wait, timeout_ms: timeout, message }) =>
  [wait, message === undefined ? 0 : timeout ?? 120_000].reduce((sum, ms) => sum + (Number.isFinite(ms) ? ms : 0), 0);

export class Node {
  #child; #running; #stop = new AbortController(); #id = 0; #pending = new Map(); #unanswered = 0;

  /** `launch()` returns program and options; `onStart(node)` runs after each start; `onEvent(event)` gets notifications. */
  constructor(parts) {
    Object.assign(this, { pingMs: PING_INTERVAL_MS }, parts);
    this.#running = this.#keepRunning();
  }

  /** Keeps one process running until `stop`. Never fails: errors are logged and the start is retried. */
  async #keepRunning() {
    const { signal } = this.#stop;
    for (let delay = MIN_RESTART_DELAY_MS; !signal.aborted; delay = Math.min(delay * 2, MAX_RESTART_DELAY_MS)) {
      const started = Date.now();
      const why = await this.#runOnce().catch((error) => `cannot be started: ${error.message}`);
      if (signal.aborted) return;
      if (Date.now() - started > MAX_RESTART_DELAY_MS) delay = MIN_RESTART_DELAY_MS;
      this.logger.error(`clawster: the node's process ${why}; restarting it in ${delay} ms`);
      await sleep(delay, undefined, { signal }).catch(() => {});
    }
  }

  /** Runs the process once: resolves with how it ended, rejects if it did not start. */
  async #runOnce() {
    const { program, ...options } = this.launch();
    const child = spawn(program, ["serve"], { ...options, stdio: "pipe" });
    const ended = new Promise((resolve, reject) => {
      child.on("error", (error) => child.pid || reject(error));
      child.once("close", (code, signal) => resolve(`ended with ${signal ?? `code ${code}`}`));
    });
    if (!child.pid) return ended; // It may not have pipes, either.
    child.stdin.on("error", () => {}); // The "close" event reports it.
    child.stdout.on("data", () => (this.#unanswered = 0));
    lines(child.stdout, (line) => this.#receive(line));
    lines(child.stderr, (line) => this.#log(line));
    this.#child = child;
    this.logger.info(`clawster: started the node's process ${child.pid}`);
    this.#unanswered = -EXTRA_START_PINGS;
    const watch = setInterval(() => this.#ping(child), this.pingMs);
    this.onStart(this);
    const why = await ended;
    clearInterval(watch);
    this.#disconnect(unavailable("the node's process ended before it answered; the call may have taken effect"));
    this.onEnd?.();
    return why;
  }

  /** Kills a process that has stopped answering. Counts ticks, not time: the gateway itself may have been suspended. */
  #ping(child) {
    if (this.#unanswered++ < MAX_UNANSWERED_PINGS) return child.stdin.write(PING);
    if (this.#child !== child) return child.kill("SIGKILL"); // An earlier tick has killed it, but it has not ended yet.
    this.logger.error(`clawster: the node's process ${child.pid} does not answer; killing and restarting it`);
    child.kill("SIGKILL");
    this.#disconnect(timedOut("the node's process does not answer; the call may have taken effect"));
  }

  /** Marks the process as gone and fails all pending calls. */
  #disconnect(error) {
    this.#child = undefined;
    for (const { reject } of this.#pending.values()) reject(error);
  }

  /** Stops the process: it leaves the cluster when its standard input is closed. */
  async stop() {
    this.#stop.abort();
    this.#child?.stdin.end();
    const kill = setTimeout(() => this.#child?.kill("SIGKILL"), STOP_TIMEOUT_MS);
    await this.#running;
    clearTimeout(kill);
  }

  /** Calls a method; waits up to 5 s for a process that is being restarted. `deadline` (ms) replaces the usual one. */
  async call(method, params, signal, deadline) {
    for (let waited = 0; !this.#child && !this.#stop.signal.aborted && waited < WAIT_FOR_CHILD_MS; waited += 50) await sleep(50);
    signal?.throwIfAborted();
    const stdin = this.#child?.stdin;
    if (!stdin) throw unavailable("this gateway's node is not running and is being restarted; see the gateway's log");
    if (stdin.writableLength > MAX_UNREAD_BYTES) throw unavailable("too many unread calls; this call was not sent, try again later");
    const id = ++this.#id;
    let resolve, reject;
    const promise = new Promise((...both) => ([resolve, reject] = both));
    const abort = () => reject(signal.reason);
    signal?.addEventListener("abort", abort);
    this.#pending.set(id, { resolve, reject });
    const late = () => reject(timedOut("the node did not answer in time; the call may have taken effect"));
    const timer = setTimeout(late, Math.min(deadline ?? CALL_TIMEOUT_MS + waits(params), MAX_TIMER_MS));
    stdin.write(`${JSON.stringify({ jsonrpc: "2.0", id, method, params })}\n`);
    return promise.finally(() => {
      clearTimeout(timer);
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
      this.logger.warn(`clawster: cannot handle the node's output: ${error.message}: ${line.slice(0, 200)}`);
    }
  }

  /** Writes a line of the node's log to the gateway's log at its level; a line without a level comes from a failed start. */
  #log(line) {
    const [prefix, text, json] = /^\S+Z +([A-Z]+) |^\{.*"level":"([a-z]+)"/.exec(line) ?? [];
    const name = (text ?? json ?? "error").toLowerCase();
    const write = this.logger[name] ?? this.logger.debug ?? this.logger.info;
    write.call(this.logger, `clawster: ${text ? line.slice(prefix.length) : line}`);
  }
}

/** Calls `take` for each line. (Node's readline also splits at U+2028, which JSON may contain.) */
function lines(stream, take) {
  let parts = []; // Parts instead of one string, which would be copied with every chunk of a long line.
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
