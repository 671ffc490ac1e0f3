// Finds the clawster program, its settings and its environment; the service and the commands must use the same node.
import { existsSync, mkdirSync, readFileSync, readlinkSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, isAbsolute, join } from "node:path";
import { resolveStateDir } from "openclaw/plugin-sdk/state-paths";

/** The plugin's settings. Call it in `register` only: OpenClaw resolves paths there, and gives nothing later. */
export function readSettings(api) {
  const { binary, configDir, ...rest } = api.pluginConfig ?? {};
  const resolved = (path) => path && (api.resolvePath(path) ?? path);
  return { ...rest, binary: resolved(binary), configDir: resolved(configDir), rootDir: api.rootDir };
}

/** The plugin's folder in OpenClaw's state folder; the gateway and its command line use the same one. */
export const folder = () => join(resolveStateDir(process.env), "clawster");

/** The file with the id of the service's node; the commands use that node if a host runs several. */
export const nodeIdFile = () => join(folder(), "node-id");

export const saveNodeId = async (node) => writeFileSync(nodeIdFile(), (await node.call("distributed.get_cluster_state", {})).node_id);

/** The program and its start options. Throws, with what to do, if there is no program for this platform. */
export function launch(settings, nodeId = settings.nodeId) {
  const { binary, rootDir } = settings;
  const platform = `${process.platform}-${process.arch}`;
  const onPath = (process.env.PATH ?? "").split(delimiter).filter(isAbsolute).map((place) => join(place, "clawster"));
  const places = binary ? [binary] : [join(rootDir, "bin", platform, "clawster"), ...onPath];
  const program = places.find((place) => existsSync(place));
  if (!program && binary) throw new Error(`program ${places[0]} does not exist: correct or remove the plugin's setting "binary"`);
  if (!program) throw new Error(`found no clawster program for ${platform} in the plugin or on PATH: install clawster (Linux or macOS) and set its path in the plugin's setting "binary"`);
  mkdirSync(folder(), { recursive: true });
  link(program, join(folder(), "clawster"));
  return { program, env: environment(settings, nodeId), cwd: folder() }; // The program's default ./config must not depend on the caller's working directory.
}

// What the program reads. The gateway's environment also holds the keys of model providers and channels, which are none of its business.
const WANTED = /^(PATH|HOME|USER|LOGNAME|SHELL|LANG|LANGUAGE|LC_\w+|TZ|TMPDIR|TERM|COLORTERM|NO_COLOR|XDG_\w+|SSL_CERT_(FILE|DIR)|OTEL_\w+|CLAWSTER_\w+|OPENCLAW_NODE_ID|REDIS_(URL|HOST|PORT|DB|USERNAME|PASSWORD)|MONGODB_URI)$/;

/** The environment of the program: what it reads, and what its secrets.json names as ${NAME}. */
export function environment({ configDir }, nodeId, from = process.env) {
  const config = configDir ?? from.CLAWSTER_CONFIG_DIR;
  const places = config ? [config] : [join(folder(), "config"), join(from.XDG_CONFIG_HOME || join(from.HOME || homedir(), ".config"), "clawster")];
  const named = new Set(places.flatMap((place) => namedIn(join(place, "secrets.json"))));
  const env = Object.fromEntries(Object.entries(from).filter(([name]) => WANTED.test(name) || named.has(name)));
  if (nodeId) env.CLAWSTER__NODE__ID = nodeId;
  if (configDir) env.CLAWSTER_CONFIG_DIR = configDir;
  return env;
}

function namedIn(file) {
  try {
    return [...readFileSync(file, "utf8").matchAll(/\$\{([A-Za-z_]\w*)\}/g)].map(([, name]) => name);
  } catch {
    return []; // There is no such file, or the program itself will say what is wrong with it.
  }
}

/** Removes the stable path of a program that is gone: OpenClaw may uninstall the plugin before or after it stops the service. */
export function unlinkRemoved() {
  const path = join(folder(), "clawster");
  if (!existsSync(path)) rmSync(path, { force: true });
}

let asked = false;

/** The same at the end of this process, be it the gateway or the command that uninstalls. */
export function unlinkRemovedAtExit() {
  if (!asked) process.once("exit", unlinkRemoved);
  asked = true;
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
