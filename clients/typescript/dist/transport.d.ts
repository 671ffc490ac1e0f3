import { type ChildProcess } from "node:child_process";
import type { Readable, Writable } from "node:stream";
import type { AnyEvent, ErrorKind } from "./generated.js";
/** An error that a node answered with. */
export declare class ClawsterError extends Error {
    readonly code: number;
    /** What is wrong, for programs. */
    readonly kind: ErrorKind | undefined;
    /** Whether the same call may succeed later without any other change. */
    readonly retryable: boolean;
    readonly retryAfterMs: number | undefined;
    readonly detail: unknown;
    constructor(error: {
        code: number;
        message: string;
        data?: {
            kind?: ErrorKind;
            retryable?: boolean;
            retry_after_ms?: number;
            detail?: unknown;
        };
    });
}
/** The connection to the node broke. A call that was waiting may have taken effect. */
export declare class ConnectionLost extends Error {
    name: string;
}
/** No running node was found, or several and none was chosen. */
export declare class NoNode extends Error {
    name: string;
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
/** JSON-RPC over a pair of streams, one JSON text per line. */
export declare class Lines implements Connection {
    #private;
    constructor(input: Readable, output: Writable, child?: ChildProcess);
    call(method: string, params: object): Promise<unknown>;
    events(names: string[] | undefined, after: string | undefined): AsyncGenerator<AnyEvent>;
    close(): Promise<void>;
}
/** The unix socket of a running node. */
export declare class SocketWay implements Way {
    readonly options: {
        socket?: string;
        node?: string;
        cluster?: string;
        stateDir?: string;
    };
    readonly single = false;
    constructor(options: {
        socket?: string;
        node?: string;
        cluster?: string;
        stateDir?: string;
    });
    connect(): Promise<Connection>;
}
/** A node that runs as a child process, and ends with the connection. */
export declare class ChildWay implements Way {
    readonly command: readonly string[];
    readonly env: NodeJS.ProcessEnv | undefined;
    readonly single = true;
    constructor(command: readonly string[], env: NodeJS.ProcessEnv | undefined);
    connect(): Promise<Connection>;
}
/** A node's HTTP address, `http.listen` in its configuration. */
export declare class HttpWay implements Way, Connection {
    #private;
    readonly single = true;
    constructor(url: string, token: string | undefined);
    connect(): Promise<Connection>;
    call(method: string, params: object): Promise<unknown>;
    events(names: string[] | undefined, after: string | undefined): AsyncGenerator<AnyEvent>;
    close(): Promise<void>;
}
