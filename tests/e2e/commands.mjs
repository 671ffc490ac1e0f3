// `openclaw distributed …`: the same cluster for people and for programs, about as fast as OpenClaw's own commands.

import assert from "node:assert/strict";

import { a, b, check, settled } from "./harness/world.mjs";

const ROUNDS = 3;
/** What the commands are meant to stay below, against `openclaw cron list`; printed only. */
const MEANT = 1.3;
/** What fails the test: generous, because a busy machine must not. */
const MOST = 2.5;

check("openclaw distributed status is text for people and JSON for programs", async () => {
  const { leader } = await settled();
  const { code, stdout, stderr } = await a.cli("distributed", "status");
  assert.equal(code, 0, stderr);
  assert.match(stdout, new RegExp(`Leader +${leader.name}`));
  assert.match(stdout, /This node +gateway-a/);

  const json = await b.json("distributed", "status", "--json");
  assert.deepEqual([json.node_id, json.leader_id], ["gateway-b", leader.name]);
});

check("openclaw distributed nodes and elect answer", async () => {
  const { leader } = await settled();
  const nodes = await a.cli("distributed", "nodes");
  assert.match(nodes.stdout, /gateway-a[\s\S]*gateway-b/);
  const elected = await a.json("distributed", "elect", "--json");
  assert.equal(elected.leader_id, leader.name);
});

check("openclaw distributed status takes about as long as openclaw cron list", async (context) => {
  const own = [];
  const builtIn = [];
  for (let round = 0; round < ROUNDS; round++) {
    own.push((await a.cli("distributed", "status")).ms);
    builtIn.push((await a.cli("cron", "list")).ms);
  }
  const ratio = median(own) / median(builtIn);
  const figures = `distributed status ${Math.round(median(own))} ms, cron list ${Math.round(median(builtIn))} ms`;
  context.diagnostic(`${figures}, ratio ${ratio.toFixed(2)} (meant to be at most ${MEANT})`);
  assert.ok(ratio <= MOST, `${figures}: ratio ${ratio.toFixed(2)} is over ${MOST}`);
});

function median(values) {
  return values.toSorted((x, y) => x - y)[Math.floor(values.length / 2)];
}
