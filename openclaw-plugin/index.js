// The OpenClaw plugin: starts this gateway's node and offers its methods, events and commands in OpenClaw.
// The cluster's rules are not here; names, descriptions and parameters of the tools are generated (tools.json).
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { definePluginEntry } from "openclaw/plugin-sdk/plugin-entry";
import { registerEvents } from "./events.js";
import { Node, shared, unavailable } from "./node.js";
import { launch, nodeIdFile, settings } from "./program.js";

const COMMANDS = { status: "show the leader and the members", nodes: "list the members", elect: "show or elect the leader, or hand over" };

export default definePluginEntry({
  id: "clawster",
  name: "clawster",
  description: "Several OpenClaw gateways as one cluster.",
  register(api) {
    registerCommands(api);
    if (api.registrationMode === "cli-metadata") return;
    const tools = JSON.parse(readFileSync(join(api.rootDir, "tools.json"), "utf8"));
    const names = tools.flatMap(({ name }) => [name, underscored(name)]);
    api.registerTool((ctx) => tools.map((tool) => asTool(api, tool, ctx)), { names });
    const events = registerEvents(api); // In every mode: agents' turns use the hooks of their own registry.
    if (api.registrationMode === "full") api.registerService(service(api, events));
  },
});

function service(api, events) {
  let node;
  return {
    id: "clawster",
    async start(ctx) {
      await shared().node?.stop(); // A reload may not have stopped the old node; there must not be two.
      shared().node = node = new Node({
        launch: () => launch(api),
        logger: ctx.logger,
        onStart: (node) => Promise.all([events.subscribe(node), saveNodeId(node)]).catch((error) => ctx.logger.warn(`clawster: ${error.message}`)),
        onEvent: (event) => events.take(event, ctx),
      });
    },
    async stop() {
      if (shared().node === node) shared().node = undefined; // Otherwise a newer service has already replaced it.
      await node?.stop();
    },
  };
}

const saveNodeId = async (node) => writeFileSync(nodeIdFile(), (await node.call("distributed.get_cluster_state", {})).node_id);

function asTool(api, { name, description, parameters }, ctx) {
  const config = ctx.getRuntimeConfig?.() ?? ctx.runtimeConfig ?? ctx.config ?? api.config;
  return {
    name: dotted(settings(api).toolNames, config?.tools?.toolSearch) ? name : underscored(name),
    label: name,
    description,
    parameters,
    async execute(_id, params, signal) {
      const { node } = shared();
      if (!node) throw unavailable("no node runs in this process; call the tool through the gateway");
      const details = await node.call(name, params ?? {}, signal);
      if (name === "distributed.join_cluster") await saveNodeId(node).catch(() => {}); // The join may have renamed the node.
      return { content: [{ type: "text", text: JSON.stringify(details) }], details };
    },
  };
}

const underscored = (name) => name.replaceAll(".", "_");

/** Model providers refuse dots in tool names, but Tool Search, which is on by default, hides the names from them. */
function dotted(setting = "auto", search) {
  if (setting !== "auto") return setting === "dotted";
  if (typeof search !== "object" || search === null) return search !== false;
  return search.enabled ?? Object.keys(search).length > 0;
}

/**
 * `openclaw distributed …` runs the program directly. OpenClaw calls `machineOutput` first, and then prepares its command line for
 * many seconds; so the command runs, and the process exits, in `machineOutput`. The action is for hosts that do not call it.
 */
function registerCommands(api) {
  const root = { name: "distributed", description: "The cluster of gateways: status, nodes, elect", hasSubcommands: true };
  const machineOutput = ({ argv }) => {
    const [name, ...words] = argv.slice(argv.indexOf(root.name) + 1);
    if (Object.hasOwn(COMMANDS, name)) process.exit(run(api, name, words));
    return false;
  };
  const register = ({ program }) => {
    const group = program.command(root.name).description(root.description);
    for (const [name, description] of Object.entries(COMMANDS)) {
      const command = group.command(`${name} [options...]`).description(`${description} (--help shows the options)`);
      command.allowUnknownOption().helpOption(false).action((words) => void (process.exitCode = run(api, name, words)));
    }
  };
  api.registerCli(register, { descriptors: [{ ...root, machineOutput }] });
}

/** Runs a command of the program in this terminal and returns its exit code. */
function run(api, name, words) {
  try {
    const nodeId = existsSync(nodeIdFile()) ? readFileSync(nodeIdFile(), "utf8").trim() : ""; // Empty: no gateway has run here yet.
    const { program, ...options } = launch(api, nodeId || undefined);
    const { status, error } = spawnSync(program, [name, ...words], { ...options, stdio: "inherit" });
    if (error) throw error;
    return status ?? 1;
  } catch (error) {
    console.error(`clawster: cannot run ${name}: ${error.message}`);
    return 1;
  }
}
