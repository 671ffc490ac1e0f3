// The packages as a user gets them: two gateways install `clawster` from a registry (E2E_REGISTRY, which has them), become one cluster,
// survive the death of the leader, and leave nothing dangling when the plugin is uninstalled. `scripts/dist-check` starts this.

import assert from "node:assert/strict";
import { existsSync, lstatSync, mkdtempSync, readlinkSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { Gateway } from "./harness/gateway.mjs";
import { openclaw } from "./harness/places.mjs";
import { run } from "./harness/processes.mjs";
import { Redis } from "./harness/redis.mjs";
import { eventually } from "./harness/wait.mjs";

const MOST_MS = 300_000;
const folder = mkdtempSync(join(tmpdir(), "clawster-packages-"));
const redis = new Redis(join(folder, "redis"));
const both = ["one", "two"].map((name) => new Gateway(name, folder, redis));
const began = performance.now();
const seconds = () => `${((performance.now() - began) / 1000).toFixed(1)} s`;

/** What a node says of the cluster. */
const state = (gateway) => gateway.call("distributed.get_cluster_state");

/** Runs a command of OpenClaw that must succeed; on a busy machine it may take minutes. */
async function cli({ env, home }, ...args) {
  const { code, stdout, stderr } = await run(process.execPath, [openclaw, ...args], { env, cwd: home, within: MOST_MS });
  assert.equal(code, 0, `openclaw ${args.join(" ")}:\n${stdout}${stderr}`);
}

async function bring(gateway) {
  delete gateway.env.npm_config_offline;
  Object.assign(gateway.env, { npm_config_registry: process.env.E2E_REGISTRY, npm_config_cache: join(gateway.home, "npm") });
  await gateway.configure({});
  await cli(gateway, "plugins", "install", "npm:clawster", "--force", "--accept-capabilities");
  await gateway.start();
}

/** The links below a folder that lead nowhere. */
function dangling(place) {
  if (!existsSync(place)) return [];
  return readdirSync(place, { recursive: true })
    .map((name) => join(place, name))
    .filter((path) => lstatSync(path).isSymbolicLink() && !existsSync(path));
}

before(async () => {
  await redis.start();
  await Promise.all(both.map(bring));
});

after(async () => {
  for (const gateway of both) gateway.end();
  await redis.stop();
  rmSync(folder, { recursive: true, force: true });
});

test("two gateways install the package by its name and are one cluster within five minutes", async () => {
  await eventually("both are online and agree on a leader", async () => {
    const [one, two] = await Promise.all(both.map(state));
    const online = one.nodes.filter(({ status }) => status === "online");
    return online.length === 2 && one.leader_id !== null && one.leader_id === two.leader_id;
  });
  const took = performance.now() - began;
  console.error(`packages: installed on two gateways and clustered in ${seconds()}`);
  assert.ok(took < MOST_MS, `it took ${seconds()}`);
});

test("the program comes from the package of this platform", () => {
  for (const gateway of both) {
    const [node] = gateway.nodes();
    const program = readlinkSync(`/proc/${node.pid}/exe`);
    assert.match(program, /clawster-linux-\w+(-musl)?\/bin\/clawster$/);
  }
});

test("another gateway leads when the leader is killed", async () => {
  const { leader_id: leader } = await state(both[0]);
  const [lost, left] = leader === "one" ? both : both.toReversed();
  await lost.kill();
  await eventually("the other one leads", async () => (await state(left)).leader_id === left.name);
  await lost.start();
});

test("uninstalling leaves no process, no package and no dangling link", async () => {
  const [gateway] = both;
  await eventually("it has a node", () => gateway.nodes().length === 1);
  await cli(gateway, "plugins", "uninstall", "clawster", "--force");
  await gateway.stop();
  await gateway.start();
  assert.equal(gateway.nodes().length, 0, "a node runs");
  const left = readdirSync(gateway.state, { recursive: true }).filter((name) => /node_modules\/clawster/.test(name));
  assert.deepEqual(left.slice(0, 5), []);
  assert.deepEqual(dangling(join(gateway.state, "clawster")), []);
});
