// The OpenClaw plugin: starts this gateway's node and hands its methods, events and commands to OpenClaw.
// Nothing here knows the cluster's rules; names, descriptions and parameters of the tools are generated (tools.json).
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { definePluginEntry } from "openclaw/plugin-sdk/plugin-entry";
import { registerEvents } from "./events.js";
import { Node, shared, unavailable } from "./node.js";
import { launch, noteOfNode, settings } from "./program.js";

const COMMANDS = { status: "who leads, who is there", nodes: "the members", elect: "name the leader, or hand over" };

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
    const events = registerEvents(api); // In every mode: turns of agents use the hooks of a registry of their own.
    if (api.registrationMode === "full") api.registerService(service(api, events));
  },
});

function service(api, events) {
  let node;
  return {
    id: "clawster",
    async start(ctx) {
      await shared().node?.stop(); // A reload that did not stop the old one must not leave two.
      shared().node = node = new Node({
        launch: () => launch(api),
        logger: ctx.logger,
        onStart: (node) => Promise.all([events.subscribe(node), note(node)]).catch((error) => ctx.logger.warn(`clawster: ${error.message}`)),
        onEvent: (event) => events.take(event, ctx),
      });
    },
    async stop() {
      if (shared().node === node) shared().node = undefined; // Else a newer service has replaced it already.
      await node?.stop();
    },
  };
}

const note = async (node) => writeFileSync(noteOfNode(), (await node.call("distributed.get_cluster_state", {})).node_id);

function asTool(api, { name, description, parameters }, ctx) {
  const config = ctx.getRuntimeConfig?.() ?? ctx.runtimeConfig ?? ctx.config ?? api.config;
  return {
    name: dotted(settings(api).toolNames, config?.tools?.toolSearch) ? name : underscored(name),
    label: name,
    description,
    parameters,
    async execute(_id, params, signal) {
      const { node } = shared();
      if (!node) throw unavailable("this process runs no node; call the tool through the gateway");
      const details = await node.call(name, params ?? {}, signal);
      if (name === "distributed.join_cluster") await note(node).catch(() => {}); // It may be a rename.
      return { content: [{ type: "text", text: JSON.stringify(details) }], details };
    },
  };
}

const underscored = (name) => name.replaceAll(".", "_");

/** Providers refuse dots, but Tool Search, on unless it is configured away, hides the names from them. */
function dotted(setting = "auto", search) {
  if (setting !== "auto") return setting === "dotted";
  if (typeof search !== "object" || search === null) return search !== false;
  return search.enabled ?? Object.keys(search).length > 0;
}

/**
 * `openclaw distributed …` runs the program itself. OpenClaw asks for `machineOutput` first, and prepares its command line for
 * many seconds after that; so the command is run, and ends, right there. The action is for hosts that do not ask.
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

/** Runs a command of the program in this terminal; the exit code. */
function run(api, name, words) {
  try {
    const nodeId = existsSync(noteOfNode()) ? readFileSync(noteOfNode(), "utf8").trim() : ""; // None: no gateway has run here.
    const { program, ...options } = launch(api, nodeId || undefined);
    const { status, error } = spawnSync(program, [name, ...words], { ...options, stdio: "inherit" });
    if (error) throw error;
    return status ?? 1;
  } catch (error) {
    console.error(`clawster: cannot run ${name}: ${error.message}`);
    return 1;
  }
}
