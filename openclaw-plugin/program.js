// Finds the clawster program and its settings; the service and the commands must use the same node.
import { existsSync, mkdirSync, readlinkSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { delimiter, isAbsolute, join } from "node:path";
import { resolveStateDir } from "openclaw/plugin-sdk/state-paths";

export const settings = (api) => api.pluginConfig ?? {};

/** The plugin's folder in OpenClaw's state folder; the gateway and its command line use the same one. */
const folder = () => join(resolveStateDir(process.env), "clawster");

/** The file with the id of the service's node; the commands use that node if a host runs several. */
export const nodeIdFile = () => join(folder(), "node-id");

/** The program and its start options. Throws, with what to do, if there is no program for this platform. */
export function launch(api, nodeId = settings(api).nodeId) {
  const { binary, configDir } = settings(api);
  const platform = `${process.platform}-${process.arch}`;
  const onPath = (process.env.PATH ?? "").split(delimiter).filter(isAbsolute).map((place) => join(place, "clawster"));
  const places = binary ? [api.resolvePath(binary)] : [join(api.rootDir, "bin", platform, "clawster"), ...onPath];
  const program = places.find((place) => existsSync(place));
  if (!program && binary) throw new Error(`program ${places[0]} does not exist: correct or remove the plugin's setting "binary"`);
  if (!program) throw new Error(`found no clawster program for ${platform} in the plugin or on PATH: install clawster (Linux or macOS) and set its path in the plugin's setting "binary"`);
  mkdirSync(folder(), { recursive: true });
  link(program, join(folder(), "clawster"));
  const env = { ...process.env };
  if (nodeId) env.CLAWSTER__NODE__ID = nodeId;
  if (configDir) env.CLAWSTER_CONFIG_DIR = api.resolvePath(configDir);
  return { program, env, cwd: folder() }; // The program's default ./config must not depend on the caller's working directory.
}

/** Gives the program a stable path for cron jobs: an update of the plugin moves the program. */
function link(program, path) {
  if (program === path) return;
  try {
    if (readlinkSync(path) === program) return;
  } catch {} // The link does not exist yet.
  const fresh = `${path}.${process.pid}`;
  rmSync(fresh, { force: true }); // A process with the same id may have died here and left the file.
  symlinkSync(program, fresh);
  renameSync(fresh, path);
}
