// The plugin comes onto a gateway by one command without a question, and the gateway then has a node, its tools and a ready skill.

import assert from "node:assert/strict";

import { a, both, check, installations, settled } from "./harness/world.mjs";

check("the tarball installs on both gateways without a question", () => {
  for (const { name } of both) {
    const { code, stdout, stderr } = installations[name];
    assert.equal(code, 0, `${name}:\n${stdout}${stderr}`);
  }
});

check("both gateways bring a node of their own, and the nodes form one cluster", async () => {
  for (const gateway of both) assert.equal(gateway.nodes().length, 1, `one node below ${gateway.name}`);
  await settled();
});

check("openclaw skills info says that the skill is ready", async () => {
  const { code, stdout, stderr } = await a.cli("skills", "info", "clawster");
  assert.equal(code, 0, stderr);
  assert.match(stdout, /Ready/);
});
