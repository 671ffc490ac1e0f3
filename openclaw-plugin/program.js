// Which clawster program runs, with which arguments: the service and the commands must mean the same node.
import { existsSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { resolveStateDir } from "openclaw/plugin-sdk/state-paths";

/** The arguments and options to start the program with. It is found through PATH, in which its folder comes first. */
export function launch(api, subcommand, given = [], nodeId = settings(api).nodeId) {
  const { binary, configDir } = settings(api);
  const shipped = join(api.rootDir ?? ".", "bin", `${process.platform}-${process.arch}`, "clawster");
  const program = binary ? api.resolvePath(binary) : existsSync(shipped) ? shipped : undefined;
  const args = [subcommand, ...given];
  const named = (flag) => given.some((word) => word === flag || word.startsWith(`${flag}=`));
  if (nodeId && !named("--node")) args.push("--node", nodeId);
  if (configDir && !named("--config")) args.push("--config", api.resolvePath(configDir));
  const env = { ...process.env };
  if (program) env.PATH = dirname(program) + delimiter + (env.PATH ?? "");
  // The default ./config of the program must not depend on where somebody calls it from.
  return { args, options: { env, cwd: stateDir() } };
}

export const settings = (api) => api.pluginConfig ?? {};

/** OpenClaw's state folder, the same one in the gateway and in its command line. */
export function stateDir() {
  const folder = resolveStateDir(process.env);
  return existsSync(folder) ? folder : "/";
}

/** Where the service notes the id of its node, so that the commands ask that one where a host runs several. */
export const noteOfNode = () => join(stateDir(), "clawster-node-id");
