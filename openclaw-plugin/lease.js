// Something that exactly one gateway may do at a time, such as polling a channel's account: `start` runs after the lease was won, and
// `stop` has finished before another gateway may have it.
//
// 1. By its own clock this gateway stops a margin before the lease could expire, counted from when the last renewal was sent.
// 2. A start that is under way while the lease is left is waited for and stopped once more; until then the lease is renewed, if it can be.
// 3. A holder that has stopped leaves a mark, and its follower starts at once. Without the mark the follower waits for `settleMs`, in
//    which a holder whose node died has noticed it and stopped.
import { setTimeout as sleep } from "node:timers/promises";
import { clocks } from "./clocks.js";

const WAIT_MS = 10_000;
const RETRY_MS = 1_000;
const LOOK_MS = 500;
const MARK_TTL_MS = 86_400_000;
const FAIL_BACK_AFTER_MS = 10_000;

/** The lease of an account of a channel. */
export const leaseOf = ({ channel, account = "default", lease }) => lease ?? `channel:${channel}:${account}`;

export class LeaseKeeper {
  #ending = new AbortController(); #running; #held; #nodeEnded = false; #wake = () => {}; #seen;

  /** `call(method, params, deadline)` reaches the node; `stop()` is repeated until it succeeds; `strays()` ends what others started meanwhile. It begins `after` others have ended. */
  constructor({ name, ttlMs = 30_000, settleMs = 3_000, prefer = [], failBack = false, call, start, stop, strays, renewed, left, logger, after }) {
    Object.assign(this, { name, ttlMs, settleMs, prefer, failBack, call, start, stop, strays, renewed, left, logger, after });
    this.marginMs = Math.min(ttlMs / 3, 8_000);
    this.#running = this.#run();
  }

  /** The token of the lease while this gateway does the work, else undefined. */
  get token() {
    return this.#held?.started ? this.#held.token : undefined;
  }

  /** The node's process has ended, and the lease with it. */
  nodeEnded() {
    this.#nodeEnded = true;
    this.#wake();
  }

  /** Stops the work and gives the lease back. */
  async end() {
    this.#ending.abort();
    this.#wake();
    await this.#running;
  }

  async #run() {
    const { signal } = this.#ending;
    await this.after;
    await this.#until("stopped at the start", this.stop);
    while (!signal.aborted) {
      try {
        await this.strays?.().catch((error) => this.logger.debug?.(`clawster: lease ${this.name}: ${error.message}`));
        const held = await this.#win();
        if (held) await this.#hold(held);
      } catch (error) {
        this.logger.debug?.(`clawster: lease ${this.name}: ${error.message}`);
        await this.#pause(RETRY_MS);
      }
    }
  }

  /** Asks for the lease once, and waits for its turn. */
  async #win() {
    const state = await this.call("distributed.get_cluster_state", {});
    if (ownOf(state)?.status === "draining") return this.#pause(RETRY_MS);
    const behind = this.#preferred(state).length > 0; // Preferred nodes wait in the queue, this one does not, so they come first.
    const sent = clocks();
    this.#nodeEnded = false;
    const wait = behind || this.#ending.signal.aborted ? 0 : WAIT_MS;
    const lease = await this.call("distributed.acquire_lease", { name: this.name, ttl_ms: this.ttlMs, wait_ms: wait }, wait + 10_000);
    if (!lease.acquired) {
      this.#seen = lease.token ?? this.#seen;
      if (behind) await this.#pause(WAIT_MS / 2);
      return undefined;
    }
    return { token: lease.token, until: sent.add(this.ttlMs - this.marginMs) }; // It may have been granted later; the first renewal tells.
  }

  async #hold(held) {
    this.#held = held;
    let starting;
    let renewal;
    let watching;
    let lastSent = -Infinity;
    let preferredSince;
    let reason;
    const soon = () => Math.max(1, Math.min(LOOK_MS, held.until.left()));
    const renew = async () => {
      const sent = clocks();
      lastSent = performance.now();
      await this.call("distributed.renew_lease", { name: this.name, token: held.token, ttl_ms: this.ttlMs }, this.ttlMs);
      held.until = sent.add(this.ttlMs - this.marginMs);
      // Longer than this gateway needs to stop by itself. A renewal that comes back too late must not begin the watch again.
      if (this.#held === held) watching = this.renewed?.(this.ttlMs - this.marginMs / 2);
    };
    await renew().catch((error) => void (reason = error.message));
    if (!reason && !(await this.#isMarked())) {
      for (const end = performance.now() + this.settleMs; performance.now() < end && !this.#ending.signal.aborted;) await this.#pause(LOOK_MS / 2);
    }
    while (!reason) {
      if (this.#ending.signal.aborted) reason = "ending";
      else if (this.#nodeEnded) reason = "the node's process ended";
      else if (held.until.passed()) reason = "the lease could not be renewed in time";
      else if (held.lost) reason = held.lost;
      if (reason) break;
      if (!held.started) {
        held.started = true; // Even if it fails half way: then there is something to stop.
        this.logger.info(`clawster: won lease ${this.name} (token ${held.token})`);
        const failed = (error) => void (held.lost ??= `cannot start: ${error?.message}`);
        starting = this.start().catch(failed).finally(() => void ((starting = undefined), this.#wake()));
      }
      if (!renewal && performance.now() - lastSent > this.ttlMs / 4) {
        const failed = (error) => void (error.code === -32007 && (held.lost = "another gateway has the lease"));
        renewal = renew().catch(failed).finally(() => (renewal = undefined));
      }
      const state = await Promise.race([this.call("distributed.get_cluster_state", {}).catch(() => undefined), this.#pause(soon())]);
      if (this.#nodeEnded) continue;
      if (state && ownOf(state)?.status === "draining") held.lost = "this node drains";
      if (state && this.failBack && this.#preferred(state).length > 0) {
        preferredSince ??= performance.now();
        if (performance.now() - preferredSince > FAIL_BACK_AFTER_MS) held.lost = "a preferred node is back";
      } else if (state) preferredSince = undefined;
      if (!held.lost) await this.#pause(soon());
    }
    const started = held.started;
    this.#held = undefined;
    Promise.resolve(watching).catch(() => {}).then(() => this.left?.()); // After the last call that began it: calls run side by side.
    if (started) {
      this.logger.info(`clawster: leaving lease ${this.name}: ${reason}`);
      const keep = () => renew().catch(() => {}); // Nobody else may start before this gateway has stopped.
      const kept = setInterval(keep, this.ttlMs / 4);
      keep();
      await this.#until("stopped", this.stop);
      if (starting) {
        await starting;
        await this.#until("stopped", this.stop);
      }
      clearInterval(kept);
    }
    await this.#leave(held.token);
    if (reason === "a preferred node is back" || reason.startsWith("cannot start")) await this.#pause(WAIT_MS / 2);
  }

  /** Says that the work has stopped, and releases the lease; both may fail where node or Redis are away: then the lease just expires. */
  async #leave(token) {
    try {
      await this.call("distributed.run_once", { key: this.#mark(token), ttl_ms: MARK_TTL_MS }, 2_000);
      await this.call("distributed.release_lease", { name: this.name, token }, 2_000);
    } catch (error) {
      this.logger.debug?.(`clawster: lease ${this.name} was not given back: ${error.message}`);
    }
  }

  /** Whether the last holder that was seen left its mark. */
  async #isMarked() {
    const seen = this.#seen;
    this.#seen = undefined;
    if (seen === undefined) return false;
    const answer = await this.call("distributed.run_once", { key: this.#mark(seen), ttl_ms: MARK_TTL_MS }, 5_000).catch(() => undefined);
    return answer?.granted === false;
  }

  #mark(token) {
    return `clawster:stopped:${this.name}:${token}`;
  }

  /** The preferred nodes that are there, if this node is none of them. */
  #preferred({ nodes, node_id: own }) {
    if (this.prefer.includes(own)) return [];
    return nodes.filter(({ node_id: id, status }) => status === "online" && this.prefer.includes(id));
  }

  async #until(what, action) {
    for (let tries = 1; ; tries++) {
      try {
        return await action();
      } catch (error) {
        if (this.#ending.signal.aborted && tries > 3) return undefined;
        if (tries % 20 === 0) this.logger.error(`clawster: lease ${this.name}: cannot be ${what}: ${error.message}; trying again`);
        await sleep(200);
      }
    }
  }

  /** Waits, but not past `nodeEnded` or `end`. */
  #pause(ms) {
    if (this.#ending.signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

const ownOf = ({ nodes, node_id: own }) => nodes.find(({ node_id: id }) => id === own);
