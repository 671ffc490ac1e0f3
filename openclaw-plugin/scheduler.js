// Mode "holder" of scheduled jobs: the scheduler runs on the gateway that holds a lease, for jobs of all kinds.
//
// 1. Every run marks its slot in the cluster. The scheduler that takes over would run the last slot of each job again, since it has not run it
//    itself; so it makes up for nothing (`cron.skipMissedJobs`), and this plugin runs what no gateway has marked.
// 2. Nothing is made up for by a gateway that has lost the lease meanwhile: the next one looks again.
// 3. A job that runs once is switched off here when another gateway has run it.
import { gatewayCall } from "./gateway.js";
import { LeaseKeeper } from "./lease.js";
import { shared } from "./node.js";
import { slotOf, timeOf } from "./schedule.js";
import { ask, jobsOf, keyOf, nameOf, startOf } from "./slots.js";

const LEASE = "openclaw:cron";
const TRIES = 50;
const BETWEEN_MS = 200;
const HEARTBEAT = /^heartbeat:/; // OpenClaw's own, one for each agent: nobody misses one.

const isHolder = ({ cron } = {}) => cron?.mode === "holder";

/** Marks the runs of this gateway. */
export function registerScheduler(api, settings) {
  if (!isHolder(settings)) return;
  const { logger } = api;
  const running = (shared().running ??= new Map());
  const mark = (key) => ask(key).catch((error) => logger.warn(`clawster: a run is not marked: ${error.message}`));
  api.on("gateway_start", (_event, ctx) => void (shared().getCron = ctx.getCron));
  const jobOf = (jobId) => jobsOf().then((jobs) => jobs.find(({ id }) => id === jobId), (error) => logger.warn(`clawster: a run is not marked: ${error.message}`));
  api.on("cron_changed", async ({ action, jobId, job: seen }, ctx) => {
    if (ctx.getCron) shared().getCron = ctx.getCron;
    if (action === "finished" && running.has(jobId)) {
      await mark(`${running.get(jobId)}:done`);
      running.delete(jobId);
    }
    if (action !== "started") return;
    const job = await jobOf(jobId);
    const slot = job && slotOf(job.schedule, startOf(seen?.state?.nextRunAtMs));
    if (!slot) return;
    running.set(jobId, keyOf(job, slot));
    await mark(keyOf(job, slot));
  });
}

/** The lease of the scheduler. `gateway` calls a method of this gateway. */
export function holdScheduler(settings, runtime, call, logger, gateway = gatewayCall) {
  if (!isHolder(settings)) return [];
  const { ttlMs, prefer, failBack, retry = false } = settings.cron;
  const set = (cron) => runtime.config.mutateConfigFile({
    afterWrite: { mode: "auto" },
    mutate: (draft) => void (draft.cron = { ...draft.cron, ...cron }),
  });
  const start = async () => {
    await settle(logger);
    await set({ enabled: true, skipMissedJobs: true });
    makeUp(retry, () => keeper.token !== undefined, { call, gateway, logger }).catch((error) => logger.error(`clawster: missed jobs are not made up for: ${error.message}`));
  };
  const keeper = new LeaseKeeper({ name: LEASE, ttlMs, prefer, failBack, call, logger, start, stop: () => set({ enabled: false }) });
  return [{ keeper }];
}

/** Switches off what runs once and has run elsewhere: the scheduler would run it at its start. */
async function settle(logger) {
  for (const job of await jobsOf()) {
    const at = job.schedule?.kind === "at" ? timeOf(job.schedule, Date.now()) : undefined;
    if (!job.enabled || !(at <= Date.now()) || job.state?.lastRunAtMs >= at) continue;
    const { granted, by } = await ask(keyOf(job, slotOf(job.schedule, at)));
    if (granted) continue;
    logger.info(`clawster: job ${JSON.stringify(nameOf(job))} has run on ${by}; switching it off here`);
    await shared().getCron().update(job.id, { enabled: false });
  }
}

/** Runs the last slot of each recurring job that no gateway has run; with `retry` also one whose gateway left within the run. */
async function makeUp(retry, holds, { call, gateway, logger }) {
  for (let tries = 0; !(await gateway("cron.status", {})).enabled; tries++) {
    if (tries === TRIES) throw new Error("the scheduler does not start");
    await new Promise((done) => setTimeout(done, BETWEEN_MS));
  }
  const now = Date.now();
  for (const job of await jobsOf()) {
    if (!holds()) return;
    const at = timeOf(job.schedule, now);
    if (!job.enabled || HEARTBEAT.test(job.declarationKey) || job.schedule.kind === "at" || !(at > (job.createdAtMs ?? now)) || job.state?.lastRunAtMs >= at) continue;
    const key = keyOf(job, slotOf(job.schedule, now));
    const { granted, by } = await ask(key);
    if (!granted && !(retry && (await isGone(by, call)) && (await ask(`${key}:done`)).granted)) continue;
    logger.info(`clawster: running job ${JSON.stringify(nameOf(job))} for ${new Date(at).toISOString()}: ${granted ? "no gateway has" : `${by} left within the run`}`);
    await gateway("cron.run", { id: job.id, mode: "force" }).catch((error) => logger.error(`clawster: cannot run it: ${error.message}`));
  }
}

async function isGone(id, call) {
  const { nodes } = await call("distributed.get_cluster_state", {});
  return !nodes.some(({ node_id: one, status }) => one === id && status !== "offline" && status !== "left");
}
