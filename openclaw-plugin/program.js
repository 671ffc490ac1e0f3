// Which clawster program runs, with which arguments: the service and the commands must mean the same node.
import { existsSync, mkdirSync, readlinkSync, renameSync, symlinkSync } from "node:fs";
import { delimiter, join } from "node:path";
import { resolveStateDir } from "openclaw/plugin-sdk/state-paths";

export const settings = (api) => api.pluginConfig ?? {};

/** The plugin's folder in OpenClaw's state folder, the same one for the gateway and for its command line. */
const folder = () => join(resolveStateDir(process.env), "clawster");

/** Where the service notes the id of its node, so that the commands ask that one where a host runs several. */
export const noteOfNode = () => join(folder(), "node-id");

/** The options to start the program `clawster` with: a link to it stands first in PATH, the settings are variables. */
export function launch(api, nodeId = settings(api).nodeId) {
  const { binary, configDir } = settings(api);
  const shipped = join(api.rootDir ?? ".", "bin", `${process.platform}-${process.arch}`, "clawster");
  const program = binary ? api.resolvePath(binary) : existsSync(shipped) ? shipped : undefined;
  mkdirSync(folder(), { recursive: true });
  if (program) link(program, join(folder(), "clawster"));
  const env = { ...process.env, PATH: (program ? folder() + delimiter : "") + (process.env.PATH ?? "") };
  if (nodeId) env.CLAWSTER__NODE__ID = nodeId;
  if (configDir) env.CLAWSTER_CONFIG_DIR = api.resolvePath(configDir);
  return { env, cwd: folder() }; // The program's default ./config must not depend on where somebody calls it from.
}

/** Cron jobs name the program by a path that stays: an update of the plugin moves it elsewhere. */
function link(program, path) {
  try {
    if (readlinkSync(path) === program) return;
  } catch {} // There is none yet.
  symlinkSync(program, `${path}.${process.pid}`);
  renameSync(`${path}.${process.pid}`, path);
}
