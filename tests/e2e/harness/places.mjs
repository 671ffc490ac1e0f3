// Where things are: what `scripts/e2e` installed and built, and the folder that this run works in.

import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

export const root = resolve(dirname(fileURLToPath(import.meta.url)), "../../..");
export const installed = process.env.E2E_APP ?? join(root, "target/e2e/app");
export const openclaw = join(installed, "node_modules/openclaw/openclaw.mjs");

/** The plugin's folder, as it is published. */
export const plugin = process.env.E2E_PLUGIN;

/** The program under test, and the plugin that carries a copy of it; `scripts/e2e` names both. */
export const binary = process.env.E2E_BINARY;
export const tarball = process.env.E2E_TARBALL;

const require = createRequire(join(installed, "package.json"));

/** Loads a package that was installed for the test. */
export const load = (name) => import(pathToFileURL(require.resolve(name)).href);

/** The program of an installed package. */
export const program = (name) => join(installed, "node_modules/.bin", name);
