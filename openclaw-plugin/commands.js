// `openclaw distributed …`: runs the program's commands in this terminal.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { launch, nodeIdFile } from "./program.js";

const COMMANDS = { status: "show the leader and the members", nodes: "list the members", elect: "show or elect the leader, or hand over" };

/**
 * `openclaw distributed …` runs the program directly. OpenClaw calls `machineOutput` first, and then prepares its command line for
 * many seconds; so the command runs, and the process exits, in `machineOutput`. The action is for hosts that do not call it.
 */
export function registerCommands(api, settings) {
  const root = { name: "distributed", description: "The cluster of gateways: status, nodes, elect", hasSubcommands: true };
  const machineOutput = ({ argv }) => {
    const [name, ...words] = argv.slice(argv.indexOf(root.name) + 1);
    if (Object.hasOwn(COMMANDS, name)) process.exit(run(settings, name, words));
    return false;
  };
  const register = ({ program }) => {
    const group = program.command(root.name).description(root.description);
    for (const [name, description] of Object.entries(COMMANDS)) {
      const command = group.command(`${name} [options...]`).description(`${description} (--help shows the options)`);
      command.allowUnknownOption().helpOption(false).action((words) => void (process.exitCode = run(settings, name, words)));
    }
  };
  api.registerCli(register, { descriptors: [{ ...root, machineOutput }] });
}

/** Runs a command of the program in this terminal and returns its exit code. */
function run(settings, name, words) {
  try {
    const nodeId = existsSync(nodeIdFile()) ? readFileSync(nodeIdFile(), "utf8").trim() : ""; // Empty: no gateway has run here yet.
    const { program, ...options } = launch(settings, nodeId || undefined);
    const { status, error } = spawnSync(program, [name, ...words], { ...options, stdio: "inherit" });
    if (error) throw error;
    return status ?? 1;
  } catch (error) {
    console.error(`clawster: cannot run ${name}: ${error.message}`);
    return 1;
  }
}
