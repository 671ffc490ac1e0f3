// The page of the cluster: behind the gateway's own authentication, as a tab of the Control UI, and only for reading.

import assert from "node:assert/strict";

import { eventually } from "./harness/wait.mjs";
import { a, b, check, settled, state } from "./harness/world.mjs";

const BOOTSTRAP = "/control-ui-config.json";
const bearer = { authorization: `Bearer ${a.token}` };
const at = (path) => `http://127.0.0.1:${a.port}${path}`;
const get = (path, headers = bearer, options = {}) => fetch(at(path), { headers, redirect: "manual", ...options });
const batch = (...methods) => encodeURIComponent(JSON.stringify(methods.map((method, id) => ({ jsonrpc: "2.0", id, method, params: {} }))));

/** The key that only the page holds. */
const keyOf = (page) => /data-key="([0-9a-f]{32})"/.exec(page)[1];
const key = async () => keyOf(await (await get("/clawster/")).text());

check("nothing of the page is served without the gateway's token", async () => {
  await settled();
  for (const path of ["/clawster", "/clawster/", "/clawster/rpc", "/clawster/events", "/clawster/history.svg"]) {
    for (const headers of [{}, { authorization: "Bearer wrong" }]) {
      const answer = await get(path, headers);
      assert.equal(answer.status, 401, path);
      assert.doesNotMatch(await answer.text(), /gateway-b|data-key/, path);
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
  const reads = batch("distributed.get_cluster_state", "distributed.list_tasks", "distributed.list_leases");
  const answer = await get(`/clawster/rpc?key=${await key()}&batch=${reads}`);
  const [seen, tasks, leases] = await answer.json();
  assert.deepEqual(seen.result.nodes.map(({ node_id: id }) => id).sort(), ["gateway-a", "gateway-b"]);
  assert.equal(seen.result.leader_id, leader.name);
  assert.ok(Array.isArray(tasks.result.tasks) && Array.isArray(leases.result.leases));
  assert.equal(answer.headers.get("access-control-allow-origin"), null, "no other origin may read it");

  const before = await state(a);
  const changes = await get(`/clawster/rpc?key=${await key()}&batch=${batch("distributed.drain", "distributed.elect_leader", "distributed.sync_messages", "__proto__")}`);
  for (const { error } of await changes.json()) assert.equal(error.code, -32010);
  assert.equal((await state(a)).term, before.term);
  for (const wrong of ["", "batch=", "batch=[]", "batch={}", `batch=${batch(...Array(9).fill("distributed.list_leases"))}`]) {
    assert.equal((await get(`/clawster/rpc?key=${await key()}&${wrong}`)).status, 400, wrong);
  }
  for (const method of ["POST", "PUT", "DELETE"]) assert.equal((await get("/clawster/rpc", bearer, { method, ...(method === "POST" && { body: "[]" }) })).status, 405, method);
  assert.equal((await get("/clawster/", bearer, { method: "HEAD" })).status, 200);
  assert.equal((await get(`/clawster/none?key=${await key()}`)).status, 404);
});

check("the picture of the history comes from the node's program", async () => {
  const answer = await get(`/clawster/history.svg?since_ms=3600000&key=${await key()}`);
  assert.equal(answer.headers.get("content-type"), "image/svg+xml");
  assert.match(await answer.text(), /^<svg[^]*gateway-a/);
  for (const wrong of ["0", "x", "1e99"]) assert.equal((await get(`/clawster/history.svg?since_ms=${wrong}&key=${await key()}`)).status, 400, wrong);
});

/** Reads a stream of events until the text fits; the text so far is in `text`. */
async function follow(path) {
  const ending = new AbortController();
  const answer = await get(path, bearer, { signal: ending.signal });
  assert.equal(answer.headers.get("content-type"), "text/event-stream");
  const stream = { text: "", close: () => ending.abort(), has: (part) => eventually(`the page gets ${part}`, () => part.exec(stream.text), 30_000) };
  (async () => {
    for await (const chunk of answer.body.pipeThrough(new TextDecoderStream())) stream.text += chunk;
  })().catch(() => {});
  return stream;
}

check("events come as they happen, and a page that connects again gets those that it missed", async () => {
  await settled();
  const stream = await follow(`/clawster/events?key=${await key()}`);
  try {
    await b.call("distributed.leave_cluster");
    const [, id] = await stream.has(/id: (\S+)\ndata: [^\n]*"cluster.node_left"[^\n]*"gateway-b"[^\n]*\n\n/);
    await b.call("distributed.join_cluster");
    await stream.has(/"cluster.node_joined"/);
    stream.close();
    const later = await follow(`/clawster/events?after=${id}&key=${await key()}`);
    await later.has(/"cluster.node_joined"/);
    assert.doesNotMatch(later.text, /"cluster.node_left"/);
    later.close();
  } finally {
    stream.close();
  }
});

check("the Control UI shows it as a tab to those who may read, whose frame gets in by OpenClaw's cookie and reads with the page's key only", async () => {
  const client = await a.connect("operator.read");
  const tab = client.hello.controlUiTabs.find(({ pluginId }) => pluginId === "clawster");
  client.close();
  assert.equal(tab.path, "/clawster/");
  assert.equal(tab.slug, "cluster");
  assert.equal(tab.requiresGatewayAuth, true);
  const stranger = await a.connect("operator.pairing");
  assert.ok(!(stranger.hello.controlUiTabs ?? []).some(({ pluginId }) => pluginId === "clawster"));
  stranger.close();

  const cookies = (await get(BOOTSTRAP)).headers.getSetCookie().map((cookie) => cookie.split(";")[0]);
  const frame = { cookie: cookies.join("; "), origin: "null" };
  const page = await get("/clawster/", frame);
  assert.equal(page.status, 200);
  assert.equal(page.headers.get("access-control-allow-origin"), null, "another page's frame could read the key");
  const reads = `/clawster/rpc?batch=${batch("distributed.get_cluster_state")}`;
  for (const other of ["", "&key=", `&key=${"0".repeat(32)}`]) {
    const refused = await get(reads + other, frame);
    assert.equal(refused.status, 403);
    assert.equal(refused.headers.get("access-control-allow-origin"), null);
  }
  const own = await get(`${reads}&key=${keyOf(await page.text())}`, frame);
  assert.equal(own.status, 200);
  assert.equal(own.headers.get("access-control-allow-origin"), "null");
  assert.equal(own.headers.get("access-control-allow-credentials"), "true");
});
