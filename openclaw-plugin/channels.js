// Accounts of channels that run on one gateway of the cluster: on the one that holds the account's lease.
import { mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gatewayCall } from "./gateway.js";
import { LeaseKeeper, leaseOf } from "./lease.js";
import { folder } from "./program.js";

/** The file in which `clawster openclaw secret` finds the tokens of the leases that this gateway holds. */
const heldFile = () => join(folder(), "held-leases.json");

// What OpenClaw says of an account whose token it does not have: it has not run since the start of the gateway.
const COLD = /unresolved SecretRef/i;

export function ownChannels({ channels = [] }, call, logger, changed) {
  const held = {};
  const note = async (lease, token, entry) => {
    if (token === undefined) delete held[lease];
    else held[lease] = { token };
    mkdirSync(folder(), { recursive: true });
    const fresh = `${heldFile()}.${process.pid}`;
    writeFileSync(fresh, JSON.stringify(held), { mode: 0o600 });
    renameSync(fresh, heldFile());
    if (entry) await changed(entry, token !== undefined);
  };
  rmSync(heldFile(), { force: true }); // Of an earlier process of the gateway.
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
    const keeper = new LeaseKeeper({
      name, ttlMs, prefer, failBack, call, logger, ...watch,
      start: async () => {
        await note(name, keeper.token);
        if (secret) await gatewayCall("secrets.reload", {});
        await gatewayCall("channels.start", params);
        await note(name, keeper.token, entry);
      },
      stop: async () => {
        await note(name, undefined);
        await gatewayCall("channels.stop", params, "operator.admin", 5_000).catch((error) => {
          if (!(secret && COLD.test(error.message))) throw error;
        });
        await note(name, undefined, entry);
      },
    });
    return { entry, keeper };
  });
}
