// The page of the cluster: behind the gateway's own authentication, as a tab of the Control UI, and only for reading.

import assert from "node:assert/strict";

import { eventually } from "./harness/wait.mjs";
import { a, b, check, settled, state } from "./harness/world.mjs";

const BOOTSTRAP = "/control-ui-config.json";
const bearer = { authorization: `Bearer ${a.token}` };
const at = (path) => `http://127.0.0.1:${a.port}${path}`;
const get = (path, headers = bearer, options = {}) => fetch(at(path), { headers, redirect: "manual", ...options });
const batch = (...methods) => encodeURIComponent(JSON.stringify(methods.map((method, id) => ({ jsonrpc: "2.0", id, method, params: {} }))));

/** Where a page reads, which only it knows: below the page's own address. */
const readsOf = (page) => new URL(/data-reads="([^"]+)"/.exec(page)[1], at("/clawster/")).pathname;
const reads = async () => readsOf(await (await get("/clawster/")).text());

check("nothing of the page is served without the gateway's token", async () => {
  await settled();
  const guesses = ["", "undefined", "__proto__", "0".repeat(32)].flatMap((key) => ["rpc", "events", "history.svg", ""].map((name) => `/clawster-view/${key}/${name}`));
  for (const path of ["/clawster", "/clawster/", "/clawster/rpc", "/clawster-view", ...guesses]) {
    for (const headers of [{}, { authorization: "Bearer wrong" }]) {
      const answer = await get(path, headers);
      assert.equal(answer.status, 401, path);
      assert.doesNotMatch(await answer.text(), /gateway-b|data-reads/, path);
    }
  }
});

check("with the token it is the node's page, which asks nobody else and says that it only reads", async () => {
  const moved = await get("/clawster");
  assert.equal(new URL(moved.headers.get("location"), at("/clawster")).pathname, "/clawster/");
  const answer = await get("/clawster/");
  const page = await answer.text();
  assert.equal(answer.status, 200, page);
  assert.match(answer.headers.get("content-type"), /^text\/html/);
  const policy = answer.headers.get("content-security-policy");
  const [, nonce] = /script-src 'nonce-([0-9a-f]{32})'/.exec(policy);
  assert.ok(policy.startsWith("default-src 'none'") && policy.includes("frame-ancestors 'self'") && !/unsafe|http/.test(policy), policy);
  assert.equal(page.split(`nonce="${nonce}"`).length, 3, "one style, one script");
  assert.ok(page.includes("<title>clawster</title>") && page.includes("openclaw distributed elect") && !page.includes("{{"));
  assert.ok(!page.includes(a.token));
});

check("it reads by GET with the page's key, and changes nothing", async () => {
  const { leader } = await settled();
  const below = await reads();
  assert.notEqual(await reads(), below, "each opening of the page has its own key");
  const rpc = (...methods) => get(`${below}rpc?batch=${batch(...methods)}`, { origin: "null" });
  const answer = await rpc("distributed.get_cluster_state", "distributed.list_tasks", "distributed.list_leases");
  const [seen, tasks, leases] = await answer.json();
  assert.deepEqual(seen.result.nodes.map(({ node_id: id }) => id).sort(), ["gateway-a", "gateway-b"]);
  assert.equal(seen.result.leader_id, leader.name);
  assert.ok(Array.isArray(tasks.result.tasks) && Array.isArray(leases.result.leases));
  assert.equal(answer.headers.get("access-control-allow-origin"), "*", "the frame has an origin of its own");
  assert.equal(answer.headers.get("cache-control"), "no-store");

  const before = await state(a);
  const changes = await rpc("distributed.drain", "distributed.elect_leader", "distributed.sync_messages", "__proto__");
  for (const { error } of await changes.json()) assert.equal(error.code, -32010);
  assert.equal((await state(a)).term, before.term);
  for (const wrong of ["", "batch=", "batch=[]", "batch={}", `batch=${batch(...Array(9).fill("distributed.list_leases"))}`]) {
    assert.equal((await get(`${below}rpc?${wrong}`)).status, 400, wrong);
  }
  for (const path of ["/clawster/", `${below}rpc`]) {
    for (const method of ["POST", "PUT", "DELETE"]) assert.equal((await get(path, bearer, { method })).status, 405, `${method} ${path}`);
  }
  assert.equal((await get("/clawster/", bearer, { method: "HEAD" })).status, 200);
  for (const path of ["/clawster/none", `${below}none`]) assert.equal((await get(path)).status, 404, path);
});

check("the picture of the history comes from the node's program", async () => {
  const answer = await get(`${await reads()}history.svg?since_ms=3600000`, {});
  assert.equal(answer.headers.get("content-type"), "image/svg+xml");
  assert.match(await answer.text(), /^<svg[^]*gateway-a/);
  for (const wrong of ["0", "x", "1e99"]) assert.equal((await get(`${await reads()}history.svg?since_ms=${wrong}`)).status, 400, wrong);
});

/** Reads a stream of events until the text fits; the text so far is in `text`. */
async function follow(path) {
  const ending = new AbortController();
  const answer = await get(path, {}, { signal: ending.signal });
  assert.equal(answer.headers.get("content-type"), "text/event-stream");
  const stream = { text: "", close: () => ending.abort(), has: (part) => eventually(`the page gets ${part}`, () => part.exec(stream.text), 30_000) };
  (async () => {
    for await (const chunk of answer.body.pipeThrough(new TextDecoderStream())) stream.text += chunk;
  })().catch(() => {});
  return stream;
}

check("events come as they happen, and a page that connects again gets those that it missed", async () => {
  await settled();
  const stream = await follow(`${await reads()}events`);
  try {
    await b.call("distributed.leave_cluster");
    const [, id] = await stream.has(/id: (\S+)\ndata: [^\n]*"cluster.node_left"[^\n]*"gateway-b"[^\n]*\n\n/);
    await b.call("distributed.join_cluster");
    await stream.has(/"cluster.node_joined"/);
    stream.close();
    const later = await follow(`${await reads()}events?after=${id}`);
    await later.has(/"cluster.node_joined"/);
    assert.ok(!later.text.includes(`id: ${id}\n`), "it had that one");
    later.close();
  } finally {
    stream.close();
  }
});

check("the Control UI shows it as a tab to those who may read, and its frame gets in by OpenClaw's cookie", async () => {
  const client = await a.connect("operator.read");
  const tab = client.hello.controlUiTabs.find(({ pluginId }) => pluginId === "clawster");
  client.close();
  assert.deepEqual([tab.label, tab.path, tab.slug, tab.requiresGatewayAuth], ["Cluster", "/clawster/", "cluster", true]);
  const stranger = await a.connect("operator.pairing");
  assert.ok(!(stranger.hello.controlUiTabs ?? []).some(({ pluginId }) => pluginId === "clawster"));
  stranger.close();

  const cookie = (await get(BOOTSTRAP)).headers.getSetCookie().map((one) => one.split(";")[0]).join("; ");
  const page = await get(tab.path, { cookie, origin: "null" });
  assert.equal(page.status, 200);
  assert.equal(page.headers.get("access-control-allow-origin"), null, "another page could read where this one reads");
  assert.equal((await get(`${readsOf(await page.text())}rpc?batch=${batch("distributed.list_leases")}`, { origin: "null" })).status, 200);
});
