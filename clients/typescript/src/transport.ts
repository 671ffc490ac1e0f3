// The ways to a node: its unix socket, a child process of one's own, or HTTP.

import { type ChildProcess, spawn } from "node:child_process";
import { readdir } from "node:fs/promises";
import { connect as connectSocket } from "node:net";
import { homedir } from "node:os";
import { basename, join } from "node:path";
import type { Readable, Writable } from "node:stream";
import type { AnyEvent, ErrorKind } from "./generated.js";

/** An error that a node answered with. */
export class ClawsterError extends Error {
  readonly code: number;
  /** What is wrong, for programs. */
  readonly kind: ErrorKind | undefined;
  /** Whether the same call may succeed later without any other change. */
  readonly retryable: boolean;
  readonly retryAfterMs: number | undefined;
  readonly detail: unknown;

  constructor(error: { code: number; message: string; data?: { kind?: ErrorKind; retryable?: boolean; retry_after_ms?: number; detail?: unknown } }) {
    super(error.message);
    this.name = "ClawsterError";
    this.code = error.code;
    this.kind = error.data?.kind;
    this.retryable = error.data?.retryable ?? false;
    this.retryAfterMs = error.data?.retry_after_ms;
    this.detail = error.data?.detail;
  }
}

/** The connection to the node broke. A call that was waiting may have taken effect. */
export class ConnectionLost extends Error {
  override name = "ConnectionLost";
}

/** No running node was found, or several and none was chosen. */
export class NoNode extends Error {
  override name = "NoNode";
}

/** A connection to a node. */
export interface Connection {
  call(method: string, params: object): Promise<unknown>;
  /** Subscribes to events; ends with `ConnectionLost`. */
  events(names: string[] | undefined, after: string | undefined): AsyncGenerator<AnyEvent>;
  close(): Promise<void>;
}

/** How to connect to a node. */
export interface Way {
  /** Whether there is only one connection, which everything shares. */
  readonly single: boolean;
  connect(): Promise<Connection>;
}

type Pending = { resolve(value: unknown): void; reject(error: Error): void };

/** A queue with one reader. */
class Feed {
  readonly #items: AnyEvent[] = [];
  #wake: (() => void) | undefined;
  #ended = false;

  push(event: AnyEvent): void {
    this.#items.push(event);
    this.#wake?.();
  }

  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  /** The next event; `undefined` at the end. */
  async next(): Promise<AnyEvent | undefined> {
    while (this.#items.length === 0) {
      if (this.#ended) return undefined;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
    return this.#items.shift();
  }
}

/** JSON-RPC over a pair of streams, one JSON text per line. */
export class Lines implements Connection {
  readonly #output: Writable;
  readonly #child: ChildProcess | undefined;
  readonly #pending = new Map<number, Pending>();
  readonly #feeds = new Map<number, Feed>();
  // Events may arrive before the answer that names their subscription.
  readonly #early = new Map<number, AnyEvent[]>();
  #subscribing = 0;
  #next = 0;
  #parts: Buffer[] = [];
  #lost = false;

  constructor(input: Readable, output: Writable, child?: ChildProcess) {
    this.#output = output;
    this.#child = child;
    input.on("data", (chunk: Buffer) => this.#read(chunk));
    for (const stream of [input, output]) {
      stream.on("close", () => this.#fail());
      stream.on("error", () => this.#fail());
    }
  }

  #read(chunk: Buffer): void {
    let from = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, from)) {
      this.#parts.push(chunk.subarray(from, end));
      const line = Buffer.concat(this.#parts).toString("utf8");
      this.#parts = [];
      from = end + 1;
      if (line.trim() === "") continue;
      const message = JSON.parse(line) as object;
      for (const one of Array.isArray(message) ? message : [message]) this.#take(one as Record<string, any>);
    }
    if (from < chunk.length) this.#parts.push(chunk.subarray(from));
  }

  #take(message: Record<string, any>): void {
    if (typeof message["method"] === "string") {
      const { subscription, result } = message["params"] ?? {};
      const feed = this.#feeds.get(subscription);
      if (feed) feed.push(result);
      else if (this.#subscribing > 0) this.#early.set(subscription, [...(this.#early.get(subscription) ?? []), result]);
      return;
    }
    const pending = this.#pending.get(message["id"]);
    this.#pending.delete(message["id"]);
    if (message["error"]) pending?.reject(new ClawsterError(message["error"]));
    else pending?.resolve(message["result"]);
  }

  #fail(): void {
    if (this.#lost) return;
    this.#lost = true;
    const error = new ConnectionLost("the connection to the node broke; the call may have taken effect");
    for (const pending of this.#pending.values()) pending.reject(error);
    this.#pending.clear();
    for (const feed of this.#feeds.values()) feed.end();
  }

  call(method: string, params: object): Promise<unknown> {
    if (this.#lost) return Promise.reject(new ConnectionLost("the connection to the node is closed"));
    const id = ++this.#next;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject });
      this.#output.write(`${JSON.stringify({ jsonrpc: "2.0", id, method, params })}\n`);
    });
  }

  async *events(names: string[] | undefined, after: string | undefined): AsyncGenerator<AnyEvent> {
    const feed = new Feed();
    let subscription: number;
    this.#subscribing += 1;
    try {
      subscription = (await this.call("cluster.subscribe", { ...(names && { events: names }), ...(after && { after }) })) as number;
      for (const event of this.#early.get(subscription) ?? []) feed.push(event);
      this.#feeds.set(subscription, feed);
    } finally {
      this.#subscribing -= 1;
      if (this.#subscribing === 0) this.#early.clear();
    }
    try {
      for (let event = await feed.next(); event; event = await feed.next()) yield event;
      throw new ConnectionLost("the connection to the node broke");
    } finally {
      this.#feeds.delete(subscription);
      if (!this.#lost) await this.call("cluster.unsubscribe", { subscription }).catch(() => undefined);
    }
  }

  async close(): Promise<void> {
    const child = this.#child;
    const ended = child && child.exitCode === null && new Promise<void>((resolve) => child.once("exit", () => resolve()));
    await new Promise<void>((resolve) => this.#output.end(() => resolve())).catch(() => undefined);
    if (ended) {
      // The end of its input makes the node leave the cluster, within 5 s.
      const timer = setTimeout(() => child.kill("SIGKILL"), 10_000);
      await ended;
      clearTimeout(timer);
    }
    this.#output.destroy();
    this.#fail();
  }
}

function open(path: string): Promise<Lines> {
  return new Promise((resolve, reject) => {
    const socket = connectSocket(path);
    socket.once("connect", () => resolve(new Lines(socket, socket)));
    socket.once("error", (error) => reject(new NoNode(`cannot connect to ${path}: ${error.message}`)));
  });
}

/** The unix socket of a running node. */
export class SocketWay implements Way {
  readonly single = false;

  constructor(readonly options: { socket?: string; node?: string; cluster?: string; stateDir?: string }) {}

  async connect(): Promise<Connection> {
    const { socket, node } = this.options;
    if (socket) return open(socket);
    const cluster = this.options.cluster ?? (process.env["CLAWSTER__CLUSTER__NAME"] || "openclaw");
    const folder = join(this.options.stateDir ?? stateDir(), cluster);
    const wanted = node ?? (process.env["OPENCLAW_NODE_ID"] || undefined);
    const names = (await readdir(folder).catch(() => [])).filter((name) => name.endsWith(".sock")).sort();
    const found: { id: string; connection: Lines }[] = [];
    for (const name of names) {
      // A killed node leaves its socket behind.
      const connection = await open(join(folder, name)).catch(() => undefined);
      if (connection) found.push({ id: basename(name, ".sock"), connection });
    }
    let chosen = found.find(({ id }) => id === wanted)?.connection;
    if (!chosen && wanted) {
      // A long path is shortened to a hash: only the node knows its id.
      for (const { connection } of found) {
        const state = (await connection.call("distributed.get_cluster_state", {}).catch(() => undefined)) as { node_id?: string } | undefined;
        if (state?.node_id === wanted) chosen = connection;
      }
    }
    if (!chosen && !node && found.length === 1) chosen = found[0]?.connection;
    await Promise.all(found.map(({ connection }) => (connection === chosen ? undefined : connection.close())));
    if (chosen) return chosen;
    if (found.length > 1 && !node) {
      throw new NoNode(`several nodes run on this host (${found.map(({ id }) => id).join(", ")}); choose one with node`);
    }
    throw new NoNode(`no clawster node${node ? ` ${node}` : ""} of cluster ${cluster} runs on this host (${folder}); start one with \`clawster serve\``);
  }
}

/** A node that runs as a child process, and ends with the connection. */
export class ChildWay implements Way {
  readonly single = true;

  constructor(readonly command: readonly string[], readonly env: NodeJS.ProcessEnv | undefined) {}

  connect(): Promise<Connection> {
    const [program = "clawster", ...rest] = this.command;
    const child = spawn(program, rest, { stdio: ["pipe", "pipe", "inherit"], env: this.env ?? process.env });
    return new Promise((resolve, reject) => {
      child.once("error", (error) => reject(new NoNode(`cannot start ${program}: ${error.message}`)));
      child.once("spawn", () => resolve(new Lines(child.stdout, child.stdin, child)));
    });
  }
}

/** A node's HTTP address, `http.listen` in its configuration. */
export class HttpWay implements Way, Connection {
  readonly single = true;
  readonly #url: string;
  readonly #headers: Record<string, string>;
  #next = 0;

  constructor(url: string, token: string | undefined) {
    this.#url = url.replace(/\/+$/, "");
    this.#headers = { "content-type": "application/json", ...(token && { authorization: `Bearer ${token}` }) };
  }

  async connect(): Promise<Connection> {
    return this;
  }

  async #fetch(path: string, init: RequestInit): Promise<Response> {
    let answer: Response;
    try {
      answer = await fetch(this.#url + path, { ...init, headers: this.#headers });
    } catch (error) {
      throw new ConnectionLost(`${this.#url}: ${(error as Error).message}`);
    }
    if (!answer.ok) throw new ConnectionLost(`${this.#url}${path}: HTTP ${answer.status} ${(await answer.text()).trim().slice(0, 200)}`);
    return answer;
  }

  async call(method: string, params: object): Promise<unknown> {
    const body = JSON.stringify({ jsonrpc: "2.0", id: ++this.#next, method, params });
    const message = (await (await this.#fetch("/rpc", { method: "POST", body })).json()) as Record<string, any>;
    if (message["error"]) throw new ClawsterError(message["error"]);
    return message["result"];
  }

  async *events(names: string[] | undefined, after: string | undefined): AsyncGenerator<AnyEvent> {
    const stop = new AbortController();
    const query = new URLSearchParams({ ...(after && { after }), ...(names && { events: names.join(",") }) }).toString();
    const answer = await this.#fetch(`/events${query && `?${query}`}`, { signal: stop.signal });
    const text = new TextDecoder();
    let rest = "";
    const data: string[] = [];
    try {
      for await (const chunk of answer.body as unknown as AsyncIterable<Uint8Array>) {
        const lines = (rest + text.decode(chunk, { stream: true })).split(/\r?\n/);
        rest = lines.pop() ?? "";
        for (const line of lines) {
          if (line.startsWith("data:")) data.push(line.slice(5).replace(/^ /, ""));
          if (line !== "" || data.length === 0) continue;
          yield JSON.parse(data.splice(0).join("\n")) as AnyEvent;
        }
      }
      throw new ConnectionLost("the stream of events ended");
    } finally {
      stop.abort();
    }
  }

  async close(): Promise<void> {}
}

function stateDir(): string {
  const { CLAWSTER_STATE_DIR: chosen, XDG_STATE_HOME: base } = process.env;
  return chosen || join(base || join(homedir(), ".local/state"), "clawster");
}
