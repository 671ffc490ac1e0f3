// A client for clawster: membership, one leader, messages, leases and tasks for a cluster of OpenClaw gateways.
export * from "./client.js";
export * from "./generated.js";
export { ClawsterError, ConnectionLost, NoNode } from "./transport.js";
