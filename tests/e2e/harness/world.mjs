// What all parts share: one Redis, one stand-in for a model, and two gateways with the plugin, started once and at the same time.
//
// 1. Everything is stopped at the end, also when a test or the start failed.
// 2. A failure prints the ends of the gateways' and the nodes' logs.

import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { Gateway } from "./gateway.mjs";
import { binary, root, tarball } from "./places.mjs";
import { Provider } from "./provider.mjs";
import { Redis } from "./redis.mjs";
import { Telegram } from "./telegram.mjs";
import { eventually, within } from "./wait.mjs";

const folder = mkdtempSync(join(tmpdir(), "clawster-e2e-"));

export const redis = new Redis(join(folder, "redis"));
export const provider = new Provider();
export const a = new Gateway("gateway-a", folder, redis);
export const b = new Gateway("gateway-b", folder, redis);
export const both = [a, b];
export const telegram = new Telegram();

/** How long the lease of an account lasts: `E2E_TTL_MS`, 12 s when unset. A gateway that gets no processor for so long is killed as frozen. */
const TTL_MS = Number(process.env.E2E_TTL_MS || 12_000);

/** The bot that both gateways have, and that runs on one of them. */
export const OWNED = "100:owned";
/** One bot for each gateway under one account, so that a message can be pushed to both. */
export const SHARED = { "gateway-a": "201:a", "gateway-b": "202:b" };

/** The permits that turns of agents take: more than there are turns, and no new ones. */
export const PERMITS = { name: "e2e:model", rate: 1, perMs: 86_400_000, burst: 100_000, waitMs: 1_000 };

/** What `openclaw plugins install` said on each gateway, by the gateway's name. */
export const installations = {};

/** A test with a deadline, in milliseconds, that shows the logs when it fails. */
export function check(name, ...rest) {
  const body = rest.find((one) => typeof one === "function");
  const { ms = 180_000, skip = false } = rest.find((one) => typeof one === "object") ?? {};
  test(name, { skip }, async (context) => {
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

/** gateway-b gets its program and its Redis by the plugin's settings; gateway-a by the package and the environment. */
function placeByHand(gateway) {
  const config = join(gateway.home, "conf");
  for (const folder of [config, join(gateway.home, "bin")]) mkdirSync(folder, { recursive: true });
  symlinkSync(binary, join(gateway.home, "bin/clawster"));
  writeFileSync(join(config, "config.json"), JSON.stringify({ node: { name: "Name from configDir" } }));
  writeFileSync(join(config, "secrets.json"), JSON.stringify({ redis: { url: "${PLACE_OF_REDIS}" } }), { mode: 0o600 });
  gateway.env.PLACE_OF_REDIS = gateway.env.REDIS_URL;
  delete gateway.env.REDIS_URL;
  return { binary: "~/bin/clawster", configDir: "~/conf" };
}

async function bring(gateway) {
  const secrets = join(gateway.home, "tokens.json");
  mkdirSync(gateway.home, { recursive: true });
  writeFileSync(secrets, JSON.stringify({ "channel:telegram:owned": OWNED }), { mode: 0o600 });
  const resolver = { source: "exec", command: binary, args: ["openclaw", "secret", "--secrets", secrets, "--held", join(gateway.state, "clawster/held-leases.json")], passEnv: ["PATH", "HOME", "CLAWSTER_STATE_DIR"] };
  const accounts = {
    owned: { botToken: { source: "exec", provider: "clawster", id: "channel:telegram:owned" } },
    shared: { botToken: SHARED[gateway.name] },
  };
  await gateway.configure({
    ...provider.settings(),
    channels: { telegram: { enabled: true, apiRoot: `${telegram.url}/${gateway.name}`, dmPolicy: "open", allowFrom: ["*"], accounts } },
    secrets: { providers: { clawster: resolver } },
    plugins: { load: { paths: [join(root, "examples/openclaw-plugin")] }, entries: { "clawster-example": { enabled: true } } },
  });
  const settings = {
    ...(gateway === b ? placeByHand(gateway) : {}),
    channels: [{ channel: "telegram", account: "owned", ttlMs: TTL_MS, secret: true, killFrozen: true }],
    inboundOnce: true,
    cron: { mode: "once", match: "^once" },
    modelPermits: PERMITS,
    sessions: { mirror: ["^agent:main:main$"] },
    notices: { events: ["node_left"], channel: "telegram", account: "owned", to: "77" },
  };
  if (gateway === a) gateway.env.CLAWSTER__AGENTS__ASK = "true";
  else gateway.env.CLAWSTER__AGENTS__ACCEPT_FROM = "gateway-a";
  const installation = await gateway.cli("plugins", "install", `npm-pack:${tarball}`, "--force", "--accept-capabilities");
  installations[gateway.name] = installation;
  if (installation.code !== 0) throw new Error(`the plugin does not install on ${gateway.name}:\n${installation.stdout}${installation.stderr}`);
  gateway.change(({ plugins }) => Object.assign(plugins.entries.clawster, { hooks: { allowConversationAccess: true }, config: settings }));
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
    await Promise.all([redis.start(), provider.start(), telegram.start()]);
    await Promise.all(both.map(bring));
  } catch (error) {
    show();
    throw error;
  }
});

after(async () => {
  for (const gateway of both) gateway.end();
  provider.stop();
  telegram.stop();
  await redis.stop();
  rmSync(folder, { recursive: true, force: true });
});
