// What all parts share: one Redis, one stand-in for a model, and two gateways with the plugin, started once and at the same time.
//
// 1. Everything is stopped at the end, also when a test or the start failed.
// 2. A failure prints the ends of the gateways' and the nodes' logs.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { Gateway } from "./gateway.mjs";
import { tarball } from "./places.mjs";
import { Provider } from "./provider.mjs";
import { Redis } from "./redis.mjs";
import { eventually, within } from "./wait.mjs";

const folder = mkdtempSync(join(tmpdir(), "clawster-e2e-"));

export const redis = new Redis(join(folder, "redis"));
export const provider = new Provider();
export const a = new Gateway("gateway-a", folder, redis);
export const b = new Gateway("gateway-b", folder, redis);
export const both = [a, b];

/** What `openclaw plugins install` said on each gateway, by the gateway's name. */
export const installations = {};

/** A test with a deadline, in milliseconds, that shows the logs when it fails. */
export function check(name, body, { ms = 180_000 } = {}) {
  test(name, async (context) => {
    try {
      await within(name, ms, Promise.resolve(body(context)));
    } catch (error) {
      show();
      throw error;
    }
  });
}

/** The state as one gateway's node sees it. */
export const state = (gateway, args) => gateway.call("distributed.get_cluster_state", args);

/** Waits until both nodes are members and agree on a leader; returns its gateway and the other one. */
export async function settled() {
  const leader = await eventually("both nodes agree on a leader", async () => {
    const [one, other] = await Promise.all(both.map((gateway) => state(gateway)));
    const online = one.nodes.filter(({ status }) => status === "online").length;
    return online === 2 && one.leader_id !== null && one.leader_id === other.leader_id && one.leader_id;
  });
  const at = both.find(({ name }) => name === leader);
  return { leader: at, follower: both.find((gateway) => gateway !== at) };
}

async function bring(gateway) {
  await gateway.configure(provider.settings());
  const installation = await gateway.cli("plugins", "install", `npm-pack:${tarball}`, "--force", "--accept-capabilities");
  installations[gateway.name] = installation;
  if (installation.code !== 0) throw new Error(`the plugin does not install on ${gateway.name}:\n${installation.stdout}${installation.stderr}`);
  gateway.change(({ plugins }) => (plugins.entries.clawster.hooks = { allowConversationAccess: true }));
  const began = performance.now();
  await gateway.start();
  console.error(`${gateway.name}: installed in ${seconds(installation.ms)}, ready in ${seconds(performance.now() - began)}`);
}

const seconds = (ms) => `${(ms / 1000).toFixed(1)} s`;

function show() {
  for (const tail of both.flatMap((gateway) => gateway.tails())) console.error(tail);
}

before(async () => {
  try {
    await Promise.all([redis.start(), provider.start()]);
    await Promise.all(both.map(bring));
  } catch (error) {
    show();
    throw error;
  }
});

after(async () => {
  for (const gateway of both) gateway.end();
  provider.stop();
  await redis.stop();
  rmSync(folder, { recursive: true, force: true });
});
