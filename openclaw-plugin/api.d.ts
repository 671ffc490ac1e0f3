// The in-process interface of the clawster plugin for other OpenClaw plugins, version 1. It changes compatibly only; an incompatible
// one gets another symbol. It exists while the plugin's service runs: read it at the time of use, never once at registration.
//
//   import type { ClawsterApi } from "clawster/api.d.ts";
//   const api = (globalThis as Record<symbol, unknown>)[Symbol.for("clawster.api.v1")] as ClawsterApi | undefined;

export interface ClawsterNode {
  node_id: string;
  name: string;
  status: "online" | "draining" | "suspect" | "offline" | "left";
  role: "leader" | "follower" | "observer";
  capabilities: string[];
  labels: Record<string, string>;
}

export interface ClawsterState {
  cluster: string;
  node_id: string;
  role: "leader" | "follower" | "observer";
  leader_id: string | null;
  term: number;
  nodes: ClawsterNode[];
  redis: { status: "ok" | "unavailable"; mode: string };
  as_of_ms: number;
}

export interface ClawsterLease {
  name: string;
  acquired: boolean;
  /** A fencing token: it rises with every grant. */
  token: number | null;
  holder: string | null;
  expires_at_ms: number | null;
}

export interface ClawsterEvent {
  /** For example `cluster.node_left`. */
  event: string;
  /** Null for events of this node alone. */
  id: string | null;
  seq: number | null;
  cluster: string;
  at_ms: number;
  node_id: string;
  [fact: string]: unknown;
}

/** What a call is rejected with: `code` and `data.kind` as in docs/errors. */
export interface ClawsterError extends Error {
  code: number;
  data?: { kind: string; retryable: boolean; retry_after_ms?: number };
}

export interface ClawsterApi {
  readonly version: 1;
  /** The cluster as this gateway's node sees it; `fresh` asks Redis. */
  state(options?: { fresh?: boolean }): Promise<ClawsterState>;
  readonly leases: {
    acquire(params: { name: string; ttl_ms: number; wait_ms?: number; request_id?: string }): Promise<ClawsterLease>;
    renew(params: { name: string; token: number; ttl_ms?: number }): Promise<{ expires_at_ms: number }>;
    release(params: { name: string; token: number }): Promise<unknown>;
    check(params: { name: string; token: number }): Promise<{ valid: boolean }>;
  };
  /** True for one caller in the cluster per key until `ttl_ms` (milliseconds) has passed. */
  runOnce(params: { key: string; ttl_ms: number; request_id?: string }): Promise<{ granted: boolean; by: string; at_ms: number }>;
  /** Whether this gateway has a lease of the plugin's settings now, such as `channel:telegram:default`. */
  holds(lease: string): boolean;
  /** Calls the listener for each event of the cluster; returns what ends that. */
  onEvent(listener: (event: ClawsterEvent) => void): () => void;
}
