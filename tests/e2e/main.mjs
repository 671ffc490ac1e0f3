// The end-to-end test: which parts there are, and in which order. The parts share two gateways, so those that kill come last.
// `scripts/e2e PART…` runs some of them; each brings the gateways into the state that it needs.

const PARTS = ["units", "publish", "install", "settings", "hostile", "tools", "messages", "events", "commands", "cron", "once", "model", "agents", "inbound", "sessions", "api", "page", "mcp", "life", "channels", "long", "failover", "packages"];
// These take minutes: they run with E2E_LONG=1, or when they are named.
const LONG = ["long"];
// These need more than `scripts/e2e` has: they run when they are named.
const NAMED = ["packages"];

const asked = process.argv.slice(2);
const unknown = asked.filter((part) => !PARTS.includes(part));
if (unknown.length > 0) {
  console.error(`e2e: there is no part ${unknown.join(", ")}; the parts are ${PARTS.join(", ")}`);
  process.exit(2);
}
for (const part of PARTS) {
  const usual = !NAMED.includes(part) && (process.env.E2E_LONG || !LONG.includes(part));
  const wanted = asked.length === 0 ? usual : asked.includes(part);
  if (wanted) await import(`./${part}.mjs`);
}
