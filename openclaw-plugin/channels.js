// Accounts of channels that run on one gateway of the cluster: on the one that holds the account's lease.
import { mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gatewayCall } from "./gateway.js";
import { LeaseKeeper, leaseOf } from "./lease.js";
import { shared } from "./node.js";

// What OpenClaw says of an account whose token it does not have: it has not run since the start of the gateway.
const COLD = /unresolved SecretRef/i;
// The name of errors that are the gateway's answer, and not a caller that gave up.
const ANSWERED = "GatewayClientRequestError";
const ADMIN = "operator.admin";

/** How long a start may take on a gateway that is busy with its own. */
const START_MS = 60_000;

/** `folder` is the plugin's own, `gateway` calls a method of this gateway, and `after` says when the owners before this one have ended. */
export function ownChannels({ channels = [] }, call, logger, changed, folder, gateway = gatewayCall, after = undefined) {
  const heldFile = join(folder, "held-leases.json"); // Where `clawster openclaw secret` finds the tokens of the leases that this gateway holds.
  // A start may still be under way within the gateway, which goes on with it when its caller has given up or was reloaded.
  const unknown = (shared().unknownStarts ??= new Set());
  const held = {};
  const note = async (lease, token, entry) => {
    if (token === undefined) delete held[lease];
    else held[lease] = { token };
    mkdirSync(folder, { recursive: true });
    const fresh = `${heldFile}.${process.pid}`;
    writeFileSync(fresh, JSON.stringify(held), { mode: 0o600 });
    renameSync(fresh, heldFile);
    if (entry) await changed(entry, token !== undefined);
  };
  rmSync(heldFile, { force: true }); // Of an earlier process of the gateway.
  return channels.map((entry) => {
    const { channel, account = "default", ttlMs, prefer, failBack, secret = false, killFrozen = false } = entry;
    const name = leaseOf(entry);
    const watched = `${channel}:${account}`; // Not the lease: accounts may share one.
    // The poll of a frozen gateway goes on, so its node kills it before the lease expires.
    const watch = killFrozen && {
      renewed: (ms) => call("cluster.watch_host", { within_ms: Math.round(ms), name: watched }).catch((error) => logger.warn(`clawster: ${error.message}`)),
      left: () => call("cluster.watch_host", { name: watched }, 2_000).catch(() => {}),
    };
    const params = { channel, accountId: account };
    const stopAccount = () => gateway("channels.stop", params, ADMIN, 5_000).catch((error) => {
      if (!(secret && COLD.test(error.message))) throw error;
    });
    const keeper = new LeaseKeeper({
      name, ttlMs, prefer, failBack, call, logger, after, ...watch,
      start: async () => {
        await shared().catchUp?.();
        await note(name, keeper.token);
        unknown.add(watched);
        if (secret) await gateway("secrets.reload", {}, ADMIN, START_MS);
        if (keeper.token === undefined) throw new Error("the lease was left meanwhile");
        const { outcome } = await gateway("channels.start", params, ADMIN, START_MS);
        unknown.delete(watched);
        if (outcome?.status === "skipped") throw new Error(`OpenClaw skips the account: ${outcome.reason}`);
        await note(name, keeper.token, entry);
      },
      stop: async () => {
        await note(name, undefined);
        await stopAccount();
        if (secret && unknown.has(watched)) { // This reload ends after the one under way, which has the token and would start the account.
          await gateway("secrets.reload", {}, ADMIN, START_MS).catch((error) => {
            if (error.name !== ANSWERED) throw error;
          });
          await stopAccount();
        }
        unknown.delete(watched);
        await note(name, undefined, entry);
      },
      strays: async () => {
        const { channelAccounts } = await gateway("channels.status", { channel }, "operator.read", 5_000);
        if (!channelAccounts?.[channel]?.some(({ accountId, running }) => accountId === account && running)) return;
        logger.warn(`clawster: ${watched} was started here without its lease ${name}; stopping it`);
        await stopAccount();
      },
    });
    return { entry, keeper };
  });
}
