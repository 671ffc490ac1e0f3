// BullMQ doing the same jobs as benches/tasks.rs and benches/wire: one process submits, several work, on a Redis that is given.
//
//   node peer.mjs PORT JOBS WORKERS BATCH IN_FLIGHT [BYTES]
//
// Prints one JSON line: {"jobs", "seconds"}, from the first submission to the last completion.
// Each worker is a process of its own, as each node of clawster is, and works on BATCH jobs at a time;
// IN_FLIGHT batches are on their way to be submitted. Each job carries a text of BYTES bytes, none if it is left out.
import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { Queue, Worker } from "bullmq";

const [port, jobs, workers, batch, inFlight, bytes] = process.argv.slice(2).map(Number);
const connection = { host: "127.0.0.1", port, maxRetriesPerRequest: null };
const name = "bench";
const load = bytes ? { m: "x".repeat(bytes) } : {};

if (process.send) work();
else await lead();

/** A worker: does nothing with a job but complete it, and tells the leader how many it has done. */
function work() {
  let done = 0;
  const worker = new Worker(name, async (job) => ({ ok: job.data.n }), { connection, concurrency: batch });
  worker.on("completed", () => { done += 1; });
  worker.on("ready", () => process.send({ ready: true }));
  worker.on("error", fail);
  process.on("disconnect", () => process.exit(0));
  const told = setInterval(() => process.send({ done }), 20);
  process.on("message", async () => {
    clearInterval(told);
    await worker.close(true);
    process.exit(0);
  });
}

/** What goes wrong ends the run; a figure taken with errors would mean nothing. */
function fail(error) {
  console.error(String(error));
  process.exit(1);
}

/** Starts the workers, submits the jobs, waits for all of them. */
async function lead() {
  const crew = Array.from({ length: workers }, () => fork(fileURLToPath(import.meta.url), process.argv.slice(2)));
  const counts = new Map();
  let ready = 0;
  let all;
  const finished = new Promise((resolve) => { all = resolve; });
  const up = new Promise((resolve) => {
    for (const member of crew) {
      member.on("exit", (code) => { if (code) fail(`a worker ended with ${code}`); });
      member.on("message", (told) => {
        if (told.ready) ready += 1;
        else counts.set(member.pid, told.done);
        if (ready === workers) resolve();
        if ([...counts.values()].reduce((sum, done) => sum + done, 0) >= jobs) all();
      });
    }
  });
  await up;
  const queue = new Queue(name, { connection });
  await queue.waitUntilReady();
  const unanswered = [];
  const start = process.hrtime.bigint();
  for (let first = 0; first < jobs; first += batch) {
    const count = Math.min(batch, jobs - first);
    const adding = queue.addBulk(Array.from({ length: count }, (_, at) => ({ name, data: { n: first + at, ...load } })));
    unanswered.push(adding.catch(fail));
    if (unanswered.length === inFlight) await unanswered.shift();
  }
  await finished;
  const seconds = Number(process.hrtime.bigint() - start) / 1e9;
  console.log(JSON.stringify({ jobs, seconds }));
  for (const member of crew) member.send("stop");
  await queue.obliterate({ force: true });
  await queue.close();
  process.exit(0);
}
