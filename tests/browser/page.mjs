// The page in a real browser. `scripts/browser` installs what this needs and starts it.
//
// Each part waits for what it expects to see, and fails with what it saw. Screenshots are left in target/browser/shots, for people.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const app = resolve("target/browser/app");
const require = createRequire(join(app, "package.json"));
const { chromium } = require("playwright-core");
const axe = await readFile(require.resolve("axe-core/axe.min.js"), "utf8");
const shots = resolve("target/browser/shots");
const TOKEN = "a-token-of-some-length";
// A name that would run, or would turn the line around, where it is not shown as text.
const HOSTILE = '<img src=x onerror="document.title=`owned`"><script>document.title="owned"</script>\u202Eevil';
const home = await mkdtemp(join(tmpdir(), "clawster-browser-"));
const running = [];

async function freePort() {
  const server = createServer();
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

function start(program, args, env) {
  const child = spawn(program, args, { env: { PATH: process.env.PATH, HOME: home, ...env }, stdio: ["ignore", "ignore", "pipe"] });
  child.said = "";
  child.stderr.on("data", (bytes) => { child.said = (child.said + bytes).slice(-100000); });
  running.push(child);
  return child;
}

async function until(what, probe, seconds = 60) {
  const end = Date.now() + seconds * 1000;
  let last;
  while (Date.now() < end) {
    try { const found = await probe(); if (found) return found; } catch (error) { last = error; }
    await new Promise((done) => setTimeout(done, 100));
  }
  throw new Error(`not in time: ${what}${last ? ` (${last.message})` : ""}`);
}

async function node(id, redis, extra = {}) {
  const dir = join(home, id);
  await mkdir(dir, { recursive: true });
  await writeFile(join(dir, "config.json"), JSON.stringify({ ...extra, node: { id, heartbeat_interval: 0.5, heartbeat_ttl: 3, ...extra.node }, leader: { lease_ttl: 6 }, logging: { syslog: false } }));
  await writeFile(join(dir, "secrets.json"), JSON.stringify({ http: { token: TOKEN } }), { mode: 0o600 });
  return start(process.env.BROWSER_CLAWSTER, ["serve", "--stay"], { CLAWSTER_CONFIG_DIR: dir, CLAWSTER_STATE_DIR: join(home, `${id}-state`), REDIS_URL: `redis://127.0.0.1:${redis}/0` });
}

async function rpc(base, method, params) {
  const answer = await fetch(`${base}/rpc`, { method: "POST", headers: { "Content-Type": "application/json", Authorization: `Bearer ${TOKEN}` }, body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }) });
  const { result, error } = await answer.json();
  if (error) throw new Error(error.message);
  return result;
}

let browser;
try {
  await mkdir(shots, { recursive: true });
  const redis = await freePort(), port = await freePort();
  start(process.env.CLAWSTER_REDIS_SERVER, ["--port", String(redis), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", home], {});
  const base = `http://127.0.0.1:${port}`;
  const a = await node("gateway-1", redis, { http: { listen: `127.0.0.1:${port}` }, node: { name: "Kitchen", capabilities: ["browser"], labels: { zone: "eu" } } });
  await until("the first node leads", async () => (await rpc(base, "distributed.get_cluster_state", {})).role === "leader");
  const b = await node("gateway-2", redis, { node: { name: HOSTILE } });
  const c = await node("gateway-3", redis);
  await until("three nodes are online", async () => (await rpc(base, "distributed.get_cluster_state", {})).nodes.filter((n) => n.status === "online").length === 3).catch((error) => { throw new Error(`${error.message}\n${a.said}\n${b.said}\n${c.said}`); });
  await rpc(base, "distributed.submit_task", { id: "needs-a-gpu", kind: "render", payload: 1, requires: { capabilities: ["gpu"] } });
  await rpc(base, "distributed.submit_task", { id: "will-die", kind: "mail", payload: 1, max_attempts: 1 });
  const [claimed] = (await rpc(base, "distributed.claim_tasks", { kinds: ["mail"] })).tasks;
  await rpc(base, "distributed.fail_task", { task_id: claimed.task_id, token: claimed.token, error: HOSTILE });
  await rpc(base, "distributed.acquire_lease", { name: "bot:telegram", ttl_ms: 600000 });

  const profile = join(home, "profile");
  browser = await chromium.launchPersistentContext(profile, { executablePath: process.env.BROWSER_BINARY, headless: true, viewport: { width: 1280, height: 900 }, args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"] });
  const page = browser.pages()[0] || await browser.newPage();
  const foreign = [], wrong = [];
  page.on("request", (request) => { if (!request.url().startsWith(base) && !/^(blob|data):/.test(request.url())) foreign.push(request.url()); });
  page.on("console", (message) => { if (message.type() === "error" && !/status of 401/.test(message.text())) wrong.push(message.text()); });
  page.on("pageerror", (error) => wrong.push(error.message));
  const seen = (selector, words) => until(`${selector} shows ${words}`, async () => (await page.locator(selector).innerText()).includes(words));

  await page.goto(`${base}/`);
  await seen("#glance", "3 of 3");
  await seen("#glance", "gateway-1");
  await seen("#live", "live");
  await seen("#tasks", "no online node meets its requirements: capability gpu");
  await seen("#tasks", "will-die");
  await seen("#leases", "bot:telegram");
  await seen("#nodes", "leadership, bot:telegram");
  assert.equal(await page.title(), "openclaw · clawster", "a name ran");
  assert.ok((await page.locator("#nodes").innerText()).includes("<img src=x onerror="), "a name is not shown as text");
  assert.equal(await page.locator("#nodes img, #nodes script, #tasks img").count(), 0);
  await until("the timeline is drawn", () => page.locator("#picture").evaluate((img) => !img.hidden && img.complete && img.naturalWidth > 500));
  console.log("ok the page shows the cluster, and a hostile name as text");

  // Playwright's own way past the policy is not used: what the policy stops must not be needed.
  const problems = async (scheme) => {
    await page.emulateMedia({ colorScheme: scheme });
    const session = await browser.newCDPSession(page);
    await session.send("Runtime.evaluate", { expression: axe });
    const found = await page.evaluate(() => globalThis.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"] }));
    return found.violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html).slice(0, 3).join(" | ")}`);
  };
  for (const [name, width, height] of [["wide", 1280, 900], ["tablet", 768, 1024], ["phone", 375, 812]]) {
    await page.setViewportSize({ width, height });
    for (const scheme of ["light", "dark"]) {
      assert.deepEqual(await problems(scheme), [], `${name} ${scheme}`);
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(overflow <= 0, `${name}: ${overflow} px too wide`);
      await page.screenshot({ path: join(shots, `${name}-${scheme}.png`), fullPage: true });
    }
  }
  console.log("ok three sizes, light and dark: no accessibility problem, nothing too wide");

  await page.setViewportSize({ width: 1280, height: 900 });
  await page.emulateMedia({ colorScheme: "light" });
  // By keyboard alone: to the button, the wrong token, then the right one.
  await page.getByRole("button", { name: "Retry task will-die" }).focus();
  await page.keyboard.press("Enter");
  await seen("#ask", "Retry task will-die?");
  await page.keyboard.type("wrong");
  await page.keyboard.press("Enter");
  await seen("#ask-error", "token");
  assert.equal((await rpc(base, "distributed.get_task", { task_id: "will-die" })).state, "dead", "it was retried without the token");
  await page.screenshot({ path: join(shots, "dialog.png") });
  await page.locator("#ask-input").fill(TOKEN);
  await page.keyboard.press("Enter");
  await until("the task waits again", async () => (await rpc(base, "distributed.get_task", { task_id: "will-die" })).state === "waiting");
  await until("the dialog is closed", async () => !(await page.locator("#ask").isVisible()));
  await until("the node logged it", () => a.said.includes("distributed.redrive_task"));
  assert.ok(!a.said.includes(TOKEN), "the token is in the log");

  await page.getByRole("button", { name: "Hand over to gateway-3" }).click();
  await seen("#ask", "Hand leadership to gateway-3?");
  await page.keyboard.press("Escape");
  assert.equal((await rpc(base, "distributed.get_cluster_state", {})).leader_id, "gateway-1", "it was not confirmed");
  await page.getByRole("button", { name: "Hand over to gateway-3" }).click();
  await page.locator("#ask-yes").click();
  await seen("#events", "gateway-3 leads");
  await page.getByRole("button", { name: "Drain gateway-1" }).click();
  await page.locator("#ask-yes").click();
  await seen("#nodes", "draining");
  await page.getByRole("button", { name: "Stop draining gateway-1" }).click();
  await page.locator("#ask-yes").click();
  await until("it is online again", async () => !(await page.locator("#nodes").innerText()).includes("draining"));
  console.log("ok actions: confirmed, with the token, logged");

  await page.screenshot({ path: join(shots, "failover-1-before.png") });
  c.kill("SIGKILL");
  await seen("#events", "gateway-3 left (process_died)");
  await page.screenshot({ path: join(shots, "failover-2-lost.png") });
  await until("another node leads", async () => /gateway-[12] leads, term \d+, after gateway-3/.test(await page.locator("#events").innerText()));
  await seen("#glance", "2 of 3");
  await page.locator("#redraw").click();
  await page.screenshot({ path: join(shots, "failover-3-after.png"), fullPage: true });
  console.log("ok a failover is seen live");

  a.kill("SIGKILL");
  await until("a lost node is told", async () => (await page.locator("#banner").isVisible()) && (await page.locator("#live").innerText()) === "connecting");
  wrong.length = 0;
  await node("gateway-1", redis, { http: { listen: `127.0.0.1:${port}` } });
  await seen("#live", "live");
  await until("the page goes on by itself", async () => !(await page.locator("#banner").isVisible()));
  console.log("ok the page outlives its node");
  assert.deepEqual(foreign, [], "a request to another server");
  assert.deepEqual(wrong.filter((text) => !/ERR_CONNECTION_REFUSED|Failed to load resource/.test(text)), []);
  console.log(`browser: all passed; screenshots are in ${shots}`);
} finally {
  if (browser) await browser.close();
  for (const child of running) child.kill("SIGKILL");
  await rm(home, { recursive: true, force: true, maxRetries: 5 });
}
