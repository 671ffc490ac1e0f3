// The background service: the node's process, and what the settings ask for around it.
import { ownChannels } from "./channels.js";
import { Node, shared } from "./node.js";
import { sendNotices } from "./notices.js";
import { endStreams, showEvent } from "./page.js";
import { folder, launch, saveNodeId, unlinkRemoved } from "./program.js";
import { publishApi } from "./public-api.js";
import { answerQuestions } from "./questions.js";
import { holdScheduler } from "./scheduler.js";

export function createService(runtime, settings, events, cron) {
  let node;
  let keepers = [];
  let ending = new AbortController();
  let api;
  return {
    id: "clawster",
    async start(ctx) {
      await shared().node?.stop(); // A reload may not have stopped the old node; there must not be two.
      const { logger } = ctx;
      const call = (method, params, deadline) => node.call(method, params, undefined, deadline);
      let notices;
      // OpenClaw ends the gateway for a rejection that nobody takes.
      const tell = async (take) => {
        try {
          await take();
        } catch (error) {
          logger.error(`clawster: an event of the cluster was not handled: ${error.message}`);
        }
      };
      api = publishApi((name) => keepers.some(({ keeper }) => keeper.name === name && keeper.token !== undefined));
      shared().node = node = new Node({
        launch: () => launch(settings),
        logger,
        onStart: (node) => Promise.all([events.subscribe(node), saveNodeId(node)]).catch((error) => logger.warn(`clawster: ${error.message}`)),
        onEnd: () => keepers.forEach(({ keeper }) => keeper.nodeEnded()),
        onEvent(event) {
          tell(() => events.take(event, ctx));
          tell(() => cron.take(event));
          tell(() => notices?.take(event));
          tell(() => api?.take(event, logger));
          tell(() => showEvent(event));
        },
      });
      ending = new AbortController();
      const changed = async ({ channel, account = "default" }, owns) => {
        ctx.gatewayEvents?.emit(owns ? "channel_started" : "channel_stopped", { channel, account }, { scope: "operator.read" });
        if (owns) tell(() => notices?.flush());
        await announce(call).catch((error) => logger.debug?.(`clawster: ${error.message}`));
      };
      notices = sendNotices(settings, () => keepers, call, logger);
      keepers = [...ownChannels(settings, call, logger, changed, folder(), undefined, shared().ownersEnd), ...holdScheduler(settings, runtime, call, logger)];
      answerQuestions(settings, runtime, call, ctx, ending.signal);
    },
    async stop() {
      if (shared().node === node) shared().node = undefined; // Otherwise a newer service has already replaced it.
      ending.abort();
      api?.withdraw();
      endStreams();
      const given = Promise.allSettled(keepers.map(({ keeper }) => keeper.end()));
      shared().ownersEnd = given; // A start may still be under way; what a reload brings waits for its end.
      await Promise.race([given, new Promise((done) => setTimeout(done, 2_000).unref())]);
      await node?.stop();
      unlinkRemoved();
    },
  };

  /** Shows the accounts that this gateway serves as capabilities of its node, so that everybody sees them and tasks can require them. */
  async function announce(call) {
    const { nodes, node_id: own } = await call("distributed.get_cluster_state", {});
    const before = nodes.find(({ node_id: id }) => id === own)?.capabilities ?? [];
    const served = keepers.filter(({ entry, keeper }) => entry && keeper.token !== undefined).map(({ entry }) => `channel:${entry.channel}:${entry.account ?? "default"}`);
    const capabilities = [...before.filter((text) => !text.startsWith("channel:")), ...served];
    if (JSON.stringify(before) !== JSON.stringify(capabilities)) await call("distributed.join_cluster", { capabilities });
  }
}
