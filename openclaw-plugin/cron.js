// A scheduled job that several gateways have runs on one of them for each slot of its schedule.
//
// 1. A job is the same on all gateways by its declaration key, else by its name; job ids differ.
// 2. OpenClaw asks before a turn of an agent. Jobs that run a command ask nobody: for those there is mode "holder" (scheduler.js).
import { gatewayCall } from "./gateway.js";
import { isHeartbeatLine, reminderLines } from "./heartbeat-line.js";
import { shared } from "./node.js";
import { slotOf } from "./schedule.js";
import { ask, jobsOf, keyOf, nameOf, RETRIED_FOR_MS, startOf } from "./slots.js";

const MAX_OTHERS = 1_000;

const state = () => (shared().cron ??= { started: new Map(), mine: new Map(), others: new Map(), forced: new Set(), counts: { ran: 0, skipped: 0, unknown: 0 } });

/** Registers the hooks of mode "once"; returns what is to be told of the cluster's events. */
export function registerCron(api, { cron: { mode, match, retry = false } = {} }, events) {
  if (mode !== "once") return { take: () => {} };
  const wanted = match ? new RegExp(match) : undefined;
  const { logger } = api;
  const { started, mine, others, forced, counts } = state();

  api.on("gateway_start", (_event, ctx) => void (shared().getCron = ctx.getCron));
  api.on("cron_changed", ({ action, jobId, job }, ctx) => {
    if (ctx.getCron) shared().getCron = ctx.getCron;
    if (action === "started") started.set(jobId, job?.state?.nextRunAtMs);
    if (action !== "finished") return;
    started.delete(jobId);
    const key = mine.get(jobId);
    mine.delete(jobId);
    if (key && retry) ask(`${key}:done`).catch((error) => logger.warn(`clawster: ${error.message}`));
  });
  api.on("before_agent_reply", decide, { eligibleTriggers: ["cron", "heartbeat"] });

  /** Ends the turn if all that it is about is done by other gateways. */
  async function decide({ cleanedBody = "" }, ctx) {
    const all = await jobsOf().catch(() => []);
    const isAbout = (job) => job.payload?.kind === "systemEvent" && job.payload.text?.trim() && cleanedBody.includes(job.payload.text.trim());
    const jobs = ctx.jobId ? all.filter(({ id }) => id === ctx.jobId) : all.filter(isAbout);
    const mineToo = jobs.filter((job) => !isHeartbeatLine(job.payload?.text?.trim() ?? "") && (!wanted || wanted.test(nameOf(job))));
    if (mineToo.length === 0) return undefined;
    const answers = await Promise.all(mineToo.map(claim));
    const done = answers.filter(({ by }) => by);
    if (done.length < jobs.length) return undefined; // Something in this turn is for this gateway.
    if (!ctx.jobId) {
      const more = otherLines(cleanedBody, jobs);
      if (!more.every(events.isOwn)) return undefined; // Somebody else's reminder is in this turn.
      events.putBack(more);
    }
    const reason = `this slot is done by ${[...new Set(done.map(({ by }) => by))].join(", ")}`;
    // The text goes into the run log; where the job delivers its result to a chat, there is none.
    const silent = jobs.every(({ delivery }) => delivery?.mode === "none");
    return { handled: true, reason, ...(silent && { reply: { text: `clawster: ${reason}` } }) };
  }

  /** Claims this slot of the job: `by` is the gateway that has it instead. */
  async function claim(job) {
    if (forced.delete(job.id)) return {};
    const slot = slotOf(job.schedule, startOf(started.get(job.id)));
    if (!slot) return {};
    const key = keyOf(job, slot);
    if (mine.get(job.id) === key) return {}; // The same run asks again.
    try {
      const { granted, by } = await ask(key);
      if (granted) {
        counts.ran++;
        mine.set(job.id, key);
        return {};
      }
      counts.skipped++;
      logger.info(`clawster: job ${JSON.stringify(nameOf(job))}, ${slot}: done by ${by}`);
      if (retry) others.set(key, { by, id: job.id, until: Date.now() + RETRIED_FOR_MS });
      if (others.size > MAX_OTHERS) others.delete(others.keys().next().value);
      return { by };
    } catch (error) {
      counts.unknown++;
      logger.warn(`clawster: running job ${JSON.stringify(nameOf(job))} without knowing whether another gateway does: ${error.message}`);
      return {};
    }
  }

  return {
    /** A gateway that left may have left a run unfinished: with `retry` one of the others runs it again. */
    async take({ event, node_id: left }) {
      if (event !== "cluster.node_left" || !retry) return;
      for (const [key, { by, id, until }] of others) {
        if (until < Date.now()) others.delete(key);
        else if (by === left) {
          others.delete(key);
          try {
            if (!(await ask(`${key}:done`)).granted) continue;
            logger.warn(`clawster: ${left} left within a job's run; running it here`);
            forced.add(id);
            await gatewayCall("cron.run", { id, mode: "force" });
          } catch (error) {
            logger.error(`clawster: cannot run a job again: ${error.message}`);
          }
        }
      }
    },
  };
}

/** The lines of the turn's reminder that are of none of these jobs. */
function otherLines(body, jobs) {
  let text = reminderLines(body).join("\n");
  for (const { payload } of jobs) text = text.replace(payload.text.split("\n").map((line) => line.trim()).filter(Boolean).join("\n"), "");
  return text.split("\n").filter((line) => line.trim());
}
