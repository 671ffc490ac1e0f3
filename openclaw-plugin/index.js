// The OpenClaw plugin: starts this gateway's node and offers its methods, events and commands in OpenClaw.
// The cluster's rules are not here; names, descriptions and parameters of the tools are generated (tools.json).
import { definePluginEntry } from "openclaw/plugin-sdk/plugin-entry";
import { registerCommands } from "./commands.js";
import { registerCron } from "./cron.js";
import { registerEvents } from "./events.js";
import { registerInbound } from "./inbound.js";
import { registerModelPermits } from "./model-permits.js";
import { registerPage } from "./page.js";
import { launch, readSettings, unlinkRemovedAtExit } from "./program.js";
import { registerScheduler } from "./scheduler.js";
import { createService } from "./service.js";
import { registerSessions } from "./sessions.js";
import { registerTools } from "./tools.js";

export default definePluginEntry({
  id: "clawster",
  name: "clawster",
  description: "Several OpenClaw gateways as one cluster.",
  register(api) {
    const settings = readSettings(api);
    unlinkRemovedAtExit();
    registerCommands(api, settings);
    if (api.registrationMode === "cli-metadata") return;
    registerTools(api, settings);
    const events = registerEvents(api, settings); // In every mode: agents' turns use the hooks of their own registry.
    const cron = registerCron(api, settings, events);
    registerScheduler(api, settings);
    registerInbound(api, settings);
    registerModelPermits(api, settings);
    registerSessions(api, settings);
    if (api.registrationMode !== "full") return;
    registerPage(api, settings, () => launch(settings));
    api.registerService(createService(api.runtime, settings, events, cron));
  },
});
