// The page of the node as a tab of the Control UI. OpenClaw serves it to those who have the gateway's token, and to the tab's frame by a cookie.
//
// 1. It only reads: the frame sends GET and HEAD, and of the node's methods only those in READS are called.
// 2. The frame has an origin of its own, so browsers that block the cookies of other sites send none with what the page asks for. The page has a
//    key for that instead, as OpenClaw's own dashboards do: random, for one opening of the page, void after KEY_MS. Without it nothing is answered.
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { promisify } from "node:util";
import { shared } from "./node.js";

const PATH = "/clawster";
const READS_PATH = "/clawster-view"; // OpenClaw wants routes with different authentication to be apart.
const READS = ["distributed.get_cluster_state", "distributed.list_tasks", "distributed.list_leases"];
const MAX_CALLS = 8;
const MAX_STREAMS = 32;
const MAX_KEYS = 256;
const KEY_MS = 900_000; // Then the page loads itself again, and OpenClaw decides anew who gets it.
const COMMENT_MS = 15_000; // Tells a client that is gone from one that has nothing to read.
const MAX_UNREAD_BYTES = 1 << 20;
const KEPT_EVENTS = 200;
const PROGRAM_MS = 8_000;
const MAX_WINDOW_MS = 366 * 86_400_000;
const ANY = { "cache-control": "no-store", "x-content-type-options": "nosniff", "referrer-policy": "no-referrer", "cross-origin-resource-policy": "same-origin" };

// The service passes events to streams that other copies of this module have opened; keys (with their ends) survive a reload of the plugin.
const hub = () => (shared().page ??= { keys: new Map(), streams: new Set(), events: [], drawing: false });

class Refused extends Error {
  constructor(status, message, headers = {}) {
    super(message);
    Object.assign(this, { status, headers });
  }
}

/** `launch()` returns the node's program and its options. */
export function registerPage(api, { page = true }, launch) {
  if (!page) return;
  const route = (path, auth, answer) => api.registerHttpRoute({ path, auth, match: "prefix", handler: (request, response) => serve(path, answer, request, response) });
  const serve = async (path, answer, request, response) => {
    try {
      for (const [name, value] of Object.entries(ANY)) response.setHeader(name, value);
      if (!["GET", "HEAD"].includes(request.method)) throw new Refused(405, "this page only reads: send GET or HEAD", { allow: "GET, HEAD" });
      const { pathname, searchParams } = new URL(request.url, "http://gateway");
      await answer(request, response, pathname.slice(path.length), searchParams, launch);
    } catch (error) {
      if (!(error instanceof Refused)) api.logger.warn(`clawster: the page was not served: ${error.message}`);
      const { status = 503, headers = { "retry-after": "1" } } = error;
      send(response, status, "text/plain; charset=utf-8", `${error.message}\n`, headers);
    }
    return true;
  };
  route(PATH, "gateway", answerPage);
  route(READS_PATH, "plugin", answerKey);
  // The slug is not the route's path, which OpenClaw would then not show.
  const tab = { id: "cluster", label: "Cluster", icon: "server", path: `${PATH}/`, slug: "cluster", description: "The gateways of the cluster, leases, tasks and events." };
  api.session.controls.registerControlUiDescriptor({ surface: "tab", group: "control", requiredScopes: ["operator.read"], ...tab });
}

/** Passes an event of the cluster to the open pages. */
export function showEvent(event) {
  const { streams, events } = hub();
  if (event.id) events.push(event);
  if (events.length > KEPT_EVENTS) events.shift();
  for (const stream of streams) write(stream, asText(event));
}

/** Ends the streams of the open pages: an open one would keep the gateway from stopping. */
export function endStreams() {
  for (const stream of hub().streams) stream.end();
}

/** Answers what OpenClaw has let in. */
async function answerPage(request, response, name, query, launch) {
  if (name === "") return send(response, 308, "text/plain", "", { location: `${PATH.slice(1)}/` }); // The page's addresses are relative.
  if (name !== "/") throw new Refused(404, "not found; the page is /clawster/");
  const file = await output(launch, ["openclaw", "page"]);
  const nonce = randomBytes(16).toString("hex");
  const policy = `default-src 'none'; script-src 'nonce-${nonce}'; style-src 'nonce-${nonce}'; connect-src 'self'; img-src blob: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'; require-trusted-types-for 'script'`;
  const page = file.replaceAll("{{nonce}}", nonce).replaceAll("{{reads}}", `..${READS_PATH}/${newKey()}/`);
  send(response, 200, "text/html; charset=utf-8", page, { "content-security-policy": policy, "permissions-policy": "camera=(), geolocation=(), microphone=()" });
}

function newKey() {
  const { keys } = hub();
  if (keys.size >= MAX_KEYS) keys.delete(keys.keys().next().value); // The oldest.
  const key = randomBytes(16).toString("hex");
  keys.set(key, performance.now() + KEY_MS);
  return key;
}

/** Answers who has the page's key. It returns before a stream ends, since OpenClaw waits for requests before it restarts. */
async function answerKey(request, response, path, query, launch) {
  const [, key, name] = path.split("/");
  response.setHeader("access-control-allow-origin", "*"); // The key decides, not where the page is shown.
  const left = (hub().keys.get(key) ?? 0) - performance.now();
  if (left <= 0) throw new Refused(401, "the page's key is missing or old: open the page again");
  if (name === "rpc") return answerReads(response, query.get("batch"));
  if (name === "events") return openStream(request, response, query.get("after"), left);
  if (name === "history.svg") return draw(response, query.get("since_ms"), launch);
  throw new Refused(404, "not found; there are rpc, events and history.svg");
}

function send(response, status, type, body, headers = {}) {
  if (!response.headersSent) response.writeHead(status, { "content-type": type, ...headers }).end(body);
}

/** Answers a batch of JSON-RPC requests, the parameter `batch`. */
async function answerReads(response, text) {
  let batch;
  try {
    batch = JSON.parse(text);
  } catch {} // Refused below.
  if (!Array.isArray(batch) || batch.length < 1 || batch.length > MAX_CALLS) throw new Refused(400, `the parameter batch is an array of 1 to ${MAX_CALLS} JSON-RPC requests`);
  const answers = await Promise.all(batch.map(async (call) => {
    const { id = null, method, params = {} } = call ?? {};
    if (!READS.includes(method)) return { jsonrpc: "2.0", id, error: { code: -32010, message: `this page only reads, by ${READS.join(", ")}` } };
    try {
      return { jsonrpc: "2.0", id, result: await running().call(method, params) };
    } catch ({ code = -32603, message, data }) {
      return { jsonrpc: "2.0", id, error: { code, message, data } };
    }
  }));
  send(response, 200, "application/json", JSON.stringify(answers));
}

function running() {
  const { node } = shared();
  if (!node) throw new Error("this gateway's node does not run; see the gateway's log");
  return node;
}

/** Streams the events after the event `after`, or all that are kept, and then those that come, for `left` milliseconds. */
function openStream(request, response, after, left) {
  const { streams, events } = hub();
  if (streams.size >= MAX_STREAMS) throw new Refused(429, `${MAX_STREAMS} pages are open; close one`, { "retry-after": "5" });
  if (request.method === "HEAD") return send(response, 200, "text/event-stream");
  response.writeHead(200, { "content-type": "text/event-stream" });
  response.flushHeaders();
  const missed = events.slice(events.findIndex(({ id }) => id === after) + 1);
  write(response, [": open\n\n", ...missed.map(asText)].join(""));
  const comments = setInterval(() => write(response, ": open\n\n"), COMMENT_MS);
  const end = setTimeout(() => response.end(), left);
  streams.add(response);
  response.once("close", () => {
    clearInterval(comments);
    clearTimeout(end);
    streams.delete(response);
  });
}

const asText = (event) => `${event.id ? `id: ${event.id}\n` : ""}data: ${JSON.stringify(event)}\n\n`;

/** Writes to a stream; a client that does not read is cut off. */
function write(stream, text) {
  if (stream.writableLength > MAX_UNREAD_BYTES) stream.destroy();
  else if (!stream.writableEnded) stream.write(text);
}

/** Draws the timeline of the last milliseconds, one at a time. */
async function draw(response, text, launch) {
  const ms = Number(text ?? 86_400_000);
  if (!(ms >= 1_000 && ms <= MAX_WINDOW_MS)) throw new Refused(400, "the parameter is since_ms: how far back the picture reaches, 1 s to 366 days");
  if (hub().drawing) throw new Refused(429, "a picture is being drawn; try again when it is done", { "retry-after": "1" });
  hub().drawing = true;
  try {
    const picture = await output(launch, ["history", "--since", `${Math.round(ms / 1000)}s`, "--svg", "-"]);
    send(response, 200, "image/svg+xml", picture, { "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox" });
  } finally {
    hub().drawing = false;
  }
}

/** What a command of the node's program prints. */
async function output(launch, args) {
  const { program, ...options } = launch();
  try {
    return (await promisify(execFile)(program, args, { ...options, timeout: PROGRAM_MS, maxBuffer: 16 << 20 })).stdout;
  } catch (error) {
    throw new Error(error.stderr?.trim().split("\n").at(-1) || error.message);
  }
}
