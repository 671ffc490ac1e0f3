// Which clawster program runs, with which settings: the service and the commands must mean the same node.
import { existsSync, mkdirSync, readlinkSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { delimiter, isAbsolute, join } from "node:path";
import { resolveStateDir } from "openclaw/plugin-sdk/state-paths";

export const settings = (api) => api.pluginConfig ?? {};

/** The plugin's folder in OpenClaw's state folder, the same one for the gateway and for its command line. */
const folder = () => join(resolveStateDir(process.env), "clawster");

/** Where the service notes the id of its node, so that the commands ask that one where a host runs several. */
export const noteOfNode = () => join(folder(), "node-id");

/** The program and the options to start it with. Throws, with what to do, where there is none for this platform. */
export function launch(api, nodeId = settings(api).nodeId) {
  const { binary, configDir } = settings(api);
  const platform = `${process.platform}-${process.arch}`;
  const onPath = (process.env.PATH ?? "").split(delimiter).filter(isAbsolute).map((place) => join(place, "clawster"));
  const places = binary ? [api.resolvePath(binary)] : [join(api.rootDir, "bin", platform, "clawster"), ...onPath];
  const program = places.find((place) => existsSync(place));
  if (!program && binary) throw new Error(`there is no program ${places[0]}: correct the plugin's setting "binary", or remove it`);
  if (!program) throw new Error(`the plugin has no clawster program for ${platform}, nor has PATH: install clawster (Linux or macOS) and name it in the plugin's setting "binary"`);
  mkdirSync(folder(), { recursive: true });
  link(program, join(folder(), "clawster"));
  const env = { ...process.env };
  if (nodeId) env.CLAWSTER__NODE__ID = nodeId;
  if (configDir) env.CLAWSTER_CONFIG_DIR = api.resolvePath(configDir);
  return { program, env, cwd: folder() }; // The program's default ./config must not depend on where somebody calls it from.
}

/** Cron jobs name the program by a path that stays: an update of the plugin moves it elsewhere. */
function link(program, path) {
  if (program === path) return;
  try {
    if (readlinkSync(path) === program) return;
  } catch {} // There is none yet.
  const fresh = `${path}.${process.pid}`;
  rmSync(fresh, { force: true }); // What a process with the same id left behind when it died right here.
  symlinkSync(program, fresh);
  renameSync(fresh, path);
}
