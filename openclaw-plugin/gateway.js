// The gateway's own methods, called over its loopback WebSocket with its own token. Not while the gateway starts: it would wait for itself.

/** Calls a method of this gateway. */
export async function gatewayCall(method, params, scope = "operator.admin", timeoutMs = 10_000) {
  const { callGatewayTool } = await import("openclaw/plugin-sdk/agent-harness-runtime");
  return callGatewayTool(method, { timeoutMs }, params, { scopes: [scope] });
}
