// Completes tasks of the kind `greet`, two at a time, until SIGTERM or Ctrl-C.
import { connect } from "clawster-client";

const stopping = new AbortController();
for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => stopping.abort());

const client = connect();
await client.work(
  "greet",
  // May run a second time after a failure: only the result is taken once. An error returns the task for another attempt.
  async (task) => ({ greeting: `Hello, ${(task.payload as { name: string }).name}!`, attempt: task.attempt }),
  { jobs: 2, signal: stopping.signal },
);
await client.close();
