// ClawHub's own checks accept the plugin: validation, packing, and a publication that stops before the upload.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { check } from "./harness/world.mjs";
import { installed, plugin, program } from "./harness/places.mjs";
import { run } from "./harness/processes.mjs";

async function clawhub(...args) {
  const home = mkdtempSync(join(tmpdir(), "clawster-e2e-hub-"));
  try {
    const env = { PATH: process.env.PATH, HOME: home };
    const { code, stdout, stderr } = await run(program("clawhub"), ["package", ...args], { env, cwd: home });
    assert.equal(code, 0, `clawhub package ${args.join(" ")}:\n${stdout}${stderr}`);
    return stdout;
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}

check("clawhub package validate accepts the plugin", () =>
  clawhub("validate", plugin, "--openclaw", join(installed, "node_modules/openclaw")));

check("clawhub package pack makes a tarball of it", async () => {
  const out = await clawhub("pack", plugin, "--json");
  assert.match(out, /clawster-\d.*\.tgz/);
});

check("clawhub package publish would publish it", async () => {
  const source = ["--source-repo", "example/clawster", "--source-commit", "0".repeat(40)];
  const out = await clawhub("publish", plugin, "--family", "code-plugin", ...source, "--dry-run");
  assert.match(out, /nothing will be published/);
  assert.match(out, /bin\/\S+\/clawster/);
});
