// The client: calls, events, a lease that renews itself, and a worker.
import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { Cluster, Distributed } from "./generated.js";
import { ChildWay, ClawsterError, ConnectionLost, HttpWay, NoNode, SocketWay } from "./transport.js";
/** The pauses before connecting again, in milliseconds; the last one repeats. */
const RECONNECT_DELAYS = [100, 500, 1_000, 2_000, 5_000];
/** How long a worker's claim waits for a task before it is repeated. */
const CLAIM_WAIT_MS = 20_000;
const pause = (failures) => RECONNECT_DELAYS[Math.min(failures, RECONNECT_DELAYS.length - 1)] ?? 5_000;
const isStale = (error) => error instanceof ClawsterError && error.kind === "stale_token";
const isAway = (error) => error instanceof ConnectionLost || error instanceof NoNode || (error instanceof ClawsterError && error.retryable);
/** Another holder has the lease. */
export class LeaseHeld extends Error {
    lease;
    holder;
    name = "LeaseHeld";
    constructor(lease, holder) {
        super(`lease ${lease} is held by ${holder ?? "another holder"}`);
        this.lease = lease;
        this.holder = holder;
    }
}
/** The lease was lost; the signal of the work that it protected was aborted. */
export class LeaseLost extends Error {
    name = "LeaseLost";
}
/** Thrown by a worker's handler: the task fails for good, without another attempt. */
export class PermanentFailure extends Error {
    name = "PermanentFailure";
}
/** A client of one node. It connects with the first call, and again after the connection broke. */
export class Client {
    #way;
    #connection;
    /** The methods `distributed.…`. */
    distributed;
    /** The methods `cluster.…`. */
    cluster;
    constructor(way) {
        this.#way = way;
        const call = (method, params) => this.call(method, params);
        this.distributed = new Distributed(call);
        this.cluster = new Cluster(call);
    }
    /** Calls any method. Rejects with a `ClawsterError`, `ConnectionLost` or `NoNode`. */
    async call(method, params) {
        const opening = (this.#connection ??= this.#way.connect());
        try {
            return await (await opening).call(method, params);
        }
        catch (error) {
            if (!(error instanceof ClawsterError) && this.#connection === opening)
                this.#connection = undefined;
            throw error;
        }
    }
    /** Closes the connection. A node that runs as a child leaves the cluster and ends. */
    async close() {
        const connection = this.#connection;
        this.#connection = undefined;
        await (await connection?.catch(() => undefined))?.close();
    }
    async [Symbol.asyncDispose]() {
        await this.close();
    }
    /** A connection of its own, and how to close it: a child has only the one. */
    async #another() {
        if (this.#way.single)
            return [await (this.#connection ??= this.#way.connect()), async () => { }];
        const connection = await this.#way.connect();
        return [connection, () => connection.close()];
    }
    /**
     * Yields the cluster's events as they come, across broken connections: `for await (const event of client.events())`.
     *
     * @param options.names The events to yield; default: all but messages.
     * @param options.after The `id` of an event: continue behind it. `0-0`: from the oldest that is kept.
     * @param options.signal Ends the loop.
     */
    async *events(options = {}) {
        let { after } = options;
        const aborted = () => options.signal?.aborted === true;
        for (let failures = 0; !aborted(); failures += 1) {
            try {
                const [connection, close] = await this.#another();
                const feed = connection.events(options.names, after);
                const stop = () => void close();
                options.signal?.addEventListener("abort", stop, { once: true });
                try {
                    for await (const event of feed) {
                        failures = 0;
                        after = event.id ?? after;
                        yield event;
                        if (aborted())
                            return;
                    }
                }
                finally {
                    options.signal?.removeEventListener("abort", stop);
                    await close();
                }
            }
            catch (error) {
                if (aborted())
                    return;
                if (!isAway(error) || this.#way instanceof ChildWay)
                    throw error;
                await sleep(pause(failures), undefined, { signal: options.signal }).catch(() => undefined);
            }
        }
    }
    /**
     * Runs `work` while this node holds a lease: renewed while it runs, released at its end.
     *
     * When the lease is lost, the signal that `work` got is aborted, and the call rejects with `LeaseLost` once `work` has ended.
     *
     * @param options.ttlMs How long the lease outlives this process. Default 30 s.
     * @param options.waitMs How long to wait for another holder; then the call rejects with `LeaseHeld`. Default 0.
     */
    async withLease(name, options, work) {
        const { ttlMs = 30_000, waitMs = 0 } = options;
        // The same id for all attempts: an answer that was lost does not lose the grant.
        const requestId = randomBytes(16).toString("hex");
        let sent = performance.now();
        const granted = await this.distributed.acquireLease({ name, ttl_ms: ttlMs, wait_ms: waitMs, request_id: requestId });
        if (!granted.acquired)
            throw new LeaseHeld(name, granted.holder ?? null);
        const token = granted.token;
        const lost = new AbortController();
        const ended = new AbortController();
        if (waitMs > 0) {
            // A grant that was waited for began some time before its answer: from this renewal on it is known how long it lasts.
            sent = performance.now();
            await this.distributed.renewLease({ name, token, ttl_ms: ttlMs }).catch((error) => {
                throw isStale(error) ? new LeaseLost(`lease ${name} was lost`) : error;
            });
        }
        const renewing = this.#renew(name, token, ttlMs, sent + ttlMs, lost, ended.signal);
        try {
            const result = await work({ name, token, signal: lost.signal });
            if (lost.signal.aborted)
                throw new LeaseLost(`lease ${name} was lost`);
            return result;
        }
        catch (error) {
            throw lost.signal.aborted ? new LeaseLost(`lease ${name} was lost`, { cause: error }) : error;
        }
        finally {
            ended.abort();
            await renewing;
            if (!lost.signal.aborted)
                await this.distributed.releaseLease({ name, token }).catch(() => undefined);
        }
    }
    async #renew(name, token, ttlMs, until, lost, ended) {
        let [deadline, wait] = [until, ttlMs / 3];
        while (!ended.aborted) {
            await sleep(Math.max(0, Math.min(wait, deadline - performance.now())), undefined, { signal: ended }).catch(() => undefined);
            if (ended.aborted)
                return;
            const sent = performance.now();
            try {
                if (sent >= deadline)
                    throw new LeaseLost();
                const late = sleep(deadline - sent, undefined, { signal: ended, ref: false }).then(() => Promise.reject(new LeaseLost()), () => undefined);
                await Promise.race([this.distributed.renewLease({ name, token, ttl_ms: ttlMs }), late]);
                [deadline, wait] = [sent + ttlMs, ttlMs / 3];
            }
            catch (error) {
                if (ended.aborted)
                    return;
                if (error instanceof LeaseLost || isStale(error))
                    return lost.abort(new LeaseLost(`lease ${name} was lost`));
                wait = Math.min(1_000, ttlMs / 10);
            }
        }
    }
    /**
     * Claims tasks and calls `handler` for each, until `options.signal` is aborted.
     *
     * What the handler returns is the task's result. An error fails the task, which is tried again, unless it is a
     * `PermanentFailure`. A task is extended while its handler runs. The signal that the handler gets is aborted when the task was
     * given to another worker, or when the worker stops; then the task is returned.
     *
     * @param options.jobs How many tasks run at a time. Default 1.
     */
    async work(kinds, handler, options = {}) {
        const { jobs = 1, signal } = options;
        const running = new Set();
        let claims;
        const stop = () => void claims?.[1]();
        signal?.addEventListener("abort", stop, { once: true });
        try {
            for (let failures = 0; !signal?.aborted;) {
                if (running.size >= jobs) {
                    await Promise.race(running);
                    continue;
                }
                try {
                    claims ??= await this.#another();
                    const params = { kinds: typeof kinds === "string" ? [kinds] : kinds, limit: jobs - running.size, wait_ms: CLAIM_WAIT_MS };
                    const { tasks } = (await claims[0].call("distributed.claim_tasks", params));
                    failures = 0;
                    for (const task of tasks) {
                        const job = this.#run(task, handler, signal).finally(() => running.delete(job));
                        running.add(job);
                    }
                }
                catch (error) {
                    if (signal?.aborted)
                        break;
                    if (!isAway(error))
                        throw error;
                    if (!(error instanceof ClawsterError))
                        claims = undefined;
                    await sleep(pause(failures), undefined, { signal }).catch(() => undefined);
                    failures += 1;
                }
            }
        }
        finally {
            signal?.removeEventListener("abort", stop);
            await claims?.[1]();
            await Promise.all(running);
        }
    }
    async #run(task, handler, stop) {
        const lost = new AbortController();
        const ended = new AbortController();
        const extending = this.#extend(task, lost, ended.signal);
        const signal = stop ? AbortSignal.any([lost.signal, stop]) : lost.signal;
        const { task_id, token } = task;
        try {
            const result = await handler(task, signal);
            await this.#settle(() => this.distributed.completeTask({ task_id, token, result: result ?? null }));
        }
        catch (error) {
            const retry = !(error instanceof PermanentFailure);
            const text = (error instanceof Error && error.message) || String(error);
            if (!lost.signal.aborted)
                await this.#settle(() => this.distributed.failTask({ task_id, token, error: text, retry }));
        }
        finally {
            ended.abort();
            await extending;
        }
    }
    /** Extends a task at a third of its time; aborts its handler once another worker may have it. */
    async #extend(task, lost, ended) {
        let [wait, deadline] = [500, performance.now() + 60_000];
        while (!ended.aborted) {
            await sleep(wait, undefined, { signal: ended, ref: false }).catch(() => undefined);
            if (ended.aborted)
                return;
            const sent = performance.now();
            try {
                const extended = await this.distributed.extendTask({ task_id: task.task_id, token: task.token });
                const state = await this.distributed.getClusterState();
                const left = (extended.expires_at_ms ?? 0) - (state.as_of_ms + (state.age_ms ?? 0));
                [deadline, wait] = [sent + left, Math.max(200, left / 3)];
            }
            catch (error) {
                if (isStale(error) || performance.now() > deadline)
                    return lost.abort(error);
                wait = 1_000;
            }
        }
    }
    async #settle(report) {
        for (let failures = 0; failures <= RECONNECT_DELAYS.length; failures += 1) {
            try {
                return void (await report());
            }
            catch (error) {
                // A task whose outcome cannot be reported goes to another worker when its time is over.
                if (!isAway(error))
                    return;
                await sleep(pause(failures));
            }
        }
    }
}
/** A client of a node. Without options: of the one that runs on this host. */
export function connect(options = {}) {
    if (options.url)
        return new Client(new HttpWay(options.url, options.token ?? process.env["CLAWSTER_HTTP_TOKEN"]));
    if (options.command)
        return new Client(new ChildWay(options.command, options.env));
    return new Client(new SocketWay(options));
}
