// The ways to a node: its unix socket, a child process of one's own, or HTTP.
import { spawn } from "node:child_process";
import { readdir } from "node:fs/promises";
import { connect as connectSocket } from "node:net";
import { homedir } from "node:os";
import { basename, join } from "node:path";
/** An error that a node answered with. */
export class ClawsterError extends Error {
    code;
    /** What is wrong, for programs. */
    kind;
    /** Whether the same call may succeed later without any other change. */
    retryable;
    retryAfterMs;
    detail;
    constructor(error) {
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
    name = "ConnectionLost";
}
/** No running node was found, or several and none was chosen. */
export class NoNode extends Error {
    name = "NoNode";
}
/** A queue with one reader. */
class Feed {
    #items = [];
    #wake;
    #ended = false;
    push(event) {
        this.#items.push(event);
        this.#wake?.();
    }
    end() {
        this.#ended = true;
        this.#wake?.();
    }
    /** The next event; `undefined` at the end. */
    async next() {
        while (this.#items.length === 0) {
            if (this.#ended)
                return undefined;
            await new Promise((resolve) => (this.#wake = resolve));
        }
        return this.#items.shift();
    }
}
/** JSON-RPC over a pair of streams, one JSON text per line. */
export class Lines {
    #output;
    #child;
    #pending = new Map();
    #feeds = new Map();
    // Events may arrive before the answer that names their subscription.
    #early = new Map();
    #subscribing = 0;
    #next = 0;
    #parts = [];
    #lost = false;
    constructor(input, output, child) {
        this.#output = output;
        this.#child = child;
        input.on("data", (chunk) => this.#read(chunk));
        for (const stream of [input, output]) {
            stream.on("close", () => this.#fail());
            stream.on("error", () => this.#fail());
        }
    }
    #read(chunk) {
        let from = 0;
        for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, from)) {
            this.#parts.push(chunk.subarray(from, end));
            const line = Buffer.concat(this.#parts).toString("utf8");
            this.#parts = [];
            from = end + 1;
            if (line.trim() === "")
                continue;
            const message = JSON.parse(line);
            for (const one of Array.isArray(message) ? message : [message])
                this.#take(one);
        }
        if (from < chunk.length)
            this.#parts.push(chunk.subarray(from));
    }
    #take(message) {
        if (typeof message["method"] === "string") {
            const { subscription, result } = message["params"] ?? {};
            const feed = this.#feeds.get(subscription);
            if (feed)
                feed.push(result);
            else if (this.#subscribing > 0)
                this.#early.set(subscription, [...(this.#early.get(subscription) ?? []), result]);
            return;
        }
        const pending = this.#pending.get(message["id"]);
        this.#pending.delete(message["id"]);
        if (message["error"])
            pending?.reject(new ClawsterError(message["error"]));
        else
            pending?.resolve(message["result"]);
    }
    #fail() {
        if (this.#lost)
            return;
        this.#lost = true;
        const error = new ConnectionLost("the connection to the node broke; the call may have taken effect");
        for (const pending of this.#pending.values())
            pending.reject(error);
        this.#pending.clear();
        for (const feed of this.#feeds.values())
            feed.end();
    }
    call(method, params) {
        if (this.#lost)
            return Promise.reject(new ConnectionLost("the connection to the node is closed"));
        const id = ++this.#next;
        return new Promise((resolve, reject) => {
            this.#pending.set(id, { resolve, reject });
            this.#output.write(`${JSON.stringify({ jsonrpc: "2.0", id, method, params })}\n`);
        });
    }
    async *events(names, after) {
        const feed = new Feed();
        let subscription;
        this.#subscribing += 1;
        try {
            subscription = (await this.call("cluster.subscribe", { ...(names && { events: names }), ...(after && { after }) }));
            for (const event of this.#early.get(subscription) ?? [])
                feed.push(event);
            this.#feeds.set(subscription, feed);
        }
        finally {
            this.#subscribing -= 1;
            if (this.#subscribing === 0)
                this.#early.clear();
        }
        try {
            for (let event = await feed.next(); event; event = await feed.next())
                yield event;
            throw new ConnectionLost("the connection to the node broke");
        }
        finally {
            this.#feeds.delete(subscription);
            if (!this.#lost)
                await this.call("cluster.unsubscribe", { subscription }).catch(() => undefined);
        }
    }
    async close() {
        const child = this.#child;
        const ended = child && child.exitCode === null && new Promise((resolve) => child.once("exit", () => resolve()));
        await new Promise((resolve) => this.#output.end(() => resolve())).catch(() => undefined);
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
function open(path) {
    return new Promise((resolve, reject) => {
        const socket = connectSocket(path);
        socket.once("connect", () => resolve(new Lines(socket, socket)));
        socket.once("error", (error) => reject(new NoNode(`cannot connect to ${path}: ${error.message}`)));
    });
}
/** The unix socket of a running node. */
export class SocketWay {
    options;
    single = false;
    constructor(options) {
        this.options = options;
    }
    async connect() {
        const { socket, node } = this.options;
        if (socket)
            return open(socket);
        const cluster = this.options.cluster ?? (process.env["CLAWSTER__CLUSTER__NAME"] || "openclaw");
        const folder = join(this.options.stateDir ?? stateDir(), cluster);
        const wanted = node ?? (process.env["OPENCLAW_NODE_ID"] || undefined);
        const names = (await readdir(folder).catch(() => [])).filter((name) => name.endsWith(".sock")).sort();
        const found = [];
        for (const name of names) {
            // A killed node leaves its socket behind.
            const connection = await open(join(folder, name)).catch(() => undefined);
            if (connection)
                found.push({ id: basename(name, ".sock"), connection });
        }
        let chosen = found.find(({ id }) => id === wanted)?.connection;
        if (!chosen && wanted) {
            // A long path is shortened to a hash: only the node knows its id.
            for (const { connection } of found) {
                const state = (await connection.call("distributed.get_cluster_state", {}).catch(() => undefined));
                if (state?.node_id === wanted)
                    chosen = connection;
            }
        }
        if (!chosen && !node && found.length === 1)
            chosen = found[0]?.connection;
        await Promise.all(found.map(({ connection }) => (connection === chosen ? undefined : connection.close())));
        if (chosen)
            return chosen;
        if (found.length > 1 && !node) {
            throw new NoNode(`several nodes run on this host (${found.map(({ id }) => id).join(", ")}); choose one with node`);
        }
        throw new NoNode(`no clawster node${node ? ` ${node}` : ""} of cluster ${cluster} runs on this host (${folder}); start one with \`clawster serve\``);
    }
}
/** A node that runs as a child process, and ends with the connection. */
export class ChildWay {
    command;
    env;
    single = true;
    constructor(command, env) {
        this.command = command;
        this.env = env;
    }
    connect() {
        const [program = "clawster", ...rest] = this.command;
        const child = spawn(program, rest, { stdio: ["pipe", "pipe", "inherit"], env: this.env ?? process.env });
        return new Promise((resolve, reject) => {
            child.once("error", (error) => reject(new NoNode(`cannot start ${program}: ${error.message}`)));
            child.once("spawn", () => resolve(new Lines(child.stdout, child.stdin, child)));
        });
    }
}
/** A node's HTTP address, `http.listen` in its configuration. */
export class HttpWay {
    single = true;
    #url;
    #headers;
    #next = 0;
    constructor(url, token) {
        this.#url = url.replace(/\/+$/, "");
        this.#headers = { "content-type": "application/json", ...(token && { authorization: `Bearer ${token}` }) };
    }
    async connect() {
        return this;
    }
    async #fetch(path, init) {
        let answer;
        try {
            answer = await fetch(this.#url + path, { ...init, headers: this.#headers });
        }
        catch (error) {
            throw new ConnectionLost(`${this.#url}: ${error.message}`);
        }
        if (!answer.ok)
            throw new ConnectionLost(`${this.#url}${path}: HTTP ${answer.status} ${(await answer.text()).trim().slice(0, 200)}`);
        return answer;
    }
    async call(method, params) {
        const body = JSON.stringify({ jsonrpc: "2.0", id: ++this.#next, method, params });
        const message = (await (await this.#fetch("/rpc", { method: "POST", body })).json());
        if (message["error"])
            throw new ClawsterError(message["error"]);
        return message["result"];
    }
    async *events(names, after) {
        const stop = new AbortController();
        const query = new URLSearchParams({ ...(after && { after }), ...(names && { events: names.join(",") }) }).toString();
        const answer = await this.#fetch(`/events${query && `?${query}`}`, { signal: stop.signal });
        const text = new TextDecoder();
        let rest = "";
        const data = [];
        try {
            for await (const chunk of answer.body) {
                const lines = (rest + text.decode(chunk, { stream: true })).split(/\r?\n/);
                rest = lines.pop() ?? "";
                for (const line of lines) {
                    if (line.startsWith("data:"))
                        data.push(line.slice(5).replace(/^ /, ""));
                    if (line !== "" || data.length === 0)
                        continue;
                    yield JSON.parse(data.splice(0).join("\n"));
                }
            }
            throw new ConnectionLost("the stream of events ended");
        }
        finally {
            stop.abort();
        }
    }
    async close() { }
}
function stateDir() {
    const { CLAWSTER_STATE_DIR: chosen, XDG_STATE_HOME: base } = process.env;
    return chosen || join(base || join(homedir(), ".local/state"), "clawster");
}
