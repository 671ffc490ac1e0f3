import { type ClaimedTask, Cluster, Distributed, type Events } from "./generated.js";
import { type Way } from "./transport.js";
/** Another holder has the lease. */
export declare class LeaseHeld extends Error {
    readonly lease: string;
    readonly holder: string | null;
    name: string;
    constructor(lease: string, holder: string | null);
}
/** The lease was lost; the signal of the work that it protected was aborted. */
export declare class LeaseLost extends Error {
    name: string;
}
/** Thrown by a worker's handler: the task fails for good, without another attempt. */
export declare class PermanentFailure extends Error {
    name: string;
}
/** A lease while it is held. */
export interface HeldLease {
    readonly name: string;
    /** The fencing token: it rises with every grant. Write it beside what you write elsewhere, and refuse lower ones. */
    readonly token: number;
    /** Aborted when the lease is lost: stop the work then. */
    readonly signal: AbortSignal;
}
/** Which node to use; without options: the one that runs on this host. */
export interface ConnectOptions {
    /** The node to use if several run on this host. */
    node?: string;
    /** The path of its socket, instead of looking for it. */
    socket?: string;
    /** The cluster's name; default: `CLAWSTER__CLUSTER__NAME`, else `openclaw`. */
    cluster?: string;
    /** The state directory; default: as for `clawster` itself. */
    stateDir?: string;
    /** Run a node as a child process instead, such as `["clawster", "serve"]`; it leaves at the end. */
    command?: readonly string[];
    /** The child's environment. */
    env?: NodeJS.ProcessEnv;
    /** The node's HTTP address instead, such as `http://127.0.0.1:9900`. */
    url?: string;
    /** The token for that address; default: `CLAWSTER_HTTP_TOKEN`. */
    token?: string;
}
/** A client of one node. It connects with the first call, and again after the connection broke. */
export declare class Client {
    #private;
    /** The methods `distributed.…`. */
    readonly distributed: Distributed;
    /** The methods `cluster.…`. */
    readonly cluster: Cluster;
    constructor(way: Way);
    /** Calls any method. Rejects with a `ClawsterError`, `ConnectionLost` or `NoNode`. */
    call(method: string, params: object): Promise<unknown>;
    /** Closes the connection. A node that runs as a child leaves the cluster and ends. */
    close(): Promise<void>;
    [Symbol.asyncDispose](): Promise<void>;
    /**
     * Yields the cluster's events as they come, across broken connections: `for await (const event of client.events())`.
     *
     * @param options.names The events to yield; default: all but messages.
     * @param options.after The `id` of an event: continue behind it. `0-0`: from the oldest that is kept.
     * @param options.signal Ends the loop.
     */
    events<N extends keyof Events = keyof Events>(options?: {
        names?: N[];
        after?: string;
        signal?: AbortSignal;
    }): AsyncGenerator<Events[N]>;
    /**
     * Runs `work` while this node holds a lease: renewed while it runs, released at its end.
     *
     * When the lease is lost, the signal that `work` got is aborted, and the call rejects with `LeaseLost` once `work` has ended.
     *
     * @param options.ttlMs How long the lease outlives this process. Default 30 s.
     * @param options.waitMs How long to wait for another holder; then the call rejects with `LeaseHeld`. Default 0.
     */
    withLease<T>(name: string, options: {
        ttlMs?: number;
        waitMs?: number;
    }, work: (lease: HeldLease) => Promise<T> | T): Promise<T>;
    /**
     * Claims tasks and calls `handler` for each, until `options.signal` is aborted.
     *
     * What the handler returns is the task's result. An error fails the task, which is tried again, unless it is a
     * `PermanentFailure`. A task is extended while its handler runs. The signal that the handler gets is aborted when the task was
     * given to another worker, or when the worker stops; then the task is returned.
     *
     * @param options.jobs How many tasks run at a time. Default 1.
     */
    work(kinds: string | readonly string[], handler: (task: ClaimedTask, signal: AbortSignal) => unknown, options?: {
        jobs?: number;
        signal?: AbortSignal;
    }): Promise<void>;
}
/** A client of a node. Without options: of the one that runs on this host. */
export declare function connect(options?: ConnectOptions): Client;
