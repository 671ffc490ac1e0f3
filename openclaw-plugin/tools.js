// The methods as tools of the agent.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { saveNodeId } from "./program.js";
import { shared, unavailable } from "./node.js";
import { EXTERNAL, visible, visibleJson } from "./text.js";

export function registerTools(api, settings) {
  const tools = JSON.parse(readFileSync(join(api.rootDir, "tools.json"), "utf8"));
  const names = tools.flatMap(({ name }) => [name, underscored(name)]);
  api.registerTool((ctx) => tools.map((tool) => asTool(api, settings, tool, ctx)), { names });
}

function asTool(api, settings, { name, description, parameters }, ctx) {
  const config = ctx.getRuntimeConfig?.() ?? ctx.runtimeConfig ?? ctx.config ?? api.config;
  return {
    name: dotted(settings.toolNames, config?.tools?.toolSearch) ? name : underscored(name),
    label: name,
    description,
    parameters,
    async execute(id, params, signal) {
      const { node } = shared();
      if (!node) throw unavailable("no node runs in this process; call the tool through the gateway");
      const result = await node.call(name, params ?? {}, signal);
      if (name === "distributed.join_cluster") await saveNodeId(node).catch(() => {}); // The join may have renamed the node.
      // A program gets the node's value; a model also reads the details, so there the texts of others become visible.
      const details = BY_PROGRAM.test(id) ? result : visible(result);
      return { content: [{ type: "text", text: visibleJson(result) }, { type: "text", text: EXTERNAL }], details };
    },
  };
}

// How OpenClaw names the calls of programs (POST /tools/invoke and the gateway's method tools.invoke); a run of an agent has other ids.
const BY_PROGRAM = /^(http|rpc)-/;

const underscored = (name) => name.replaceAll(".", "_");

/** Model providers refuse dots in tool names, but Tool Search, which is on by default, hides the names from them. */
function dotted(setting = "auto", search) {
  if (setting !== "auto") return setting === "dotted";
  if (typeof search !== "object" || search === null) return search !== false;
  return search.enabled ?? Object.keys(search).length > 0;
}
