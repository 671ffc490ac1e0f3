export * from "./client.js";
export * from "./generated.js";
export { ClawsterError, ConnectionLost, NoNode } from "./transport.js";
