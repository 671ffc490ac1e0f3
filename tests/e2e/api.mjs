// Another plugin uses the cluster by the interface that the clawster plugin offers in the gateway's process.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

import { eventually } from "./harness/wait.mjs";
import { both, check, settled } from "./harness/world.mjs";

check("the example plugin does its work on one of the two gateways, and the other one knows which", async () => {
  await settled();
  const logs = () => both.map((gateway) => readFileSync(gateway.log, "utf8"));
  await eventually("both example plugins have asked", () => logs().every((log) => /clawster example: (this gateway does|gateway-[ab] did) today's work/.test(log)), 60_000);
  assert.equal(logs().filter((log) => log.includes("this gateway does today's work")).length, 1);
});
