// Waiting for a condition, always with a deadline, never for a time. `E2E_PATIENCE=4` makes all deadlines four times as long, for a machine
// that has much else to do.

import { setTimeout as pause } from "node:timers/promises";

const BETWEEN_MS = 100;
export const PATIENCE = Number(process.env.E2E_PATIENCE || 1);

/**
 * Asks `probe` until it answers with something true, and returns that. What it throws counts as "not yet" and is told when the
 * deadline passes. Times are milliseconds.
 */
export async function eventually(what, probe, soon = 30_000) {
  const within = soon * PATIENCE;
  const deadline = performance.now() + within;
  let last = "";
  for (;;) {
    try {
      const answer = await probe();
      if (answer) return answer;
      last = `the last answer was ${JSON.stringify(answer)}`;
    } catch (error) {
      last = `the last error was: ${error.message}`;
    }
    if (performance.now() > deadline) throw new Error(`${what}: not within ${within} ms; ${last}`);
    await pause(BETWEEN_MS);
  }
}

/** Fails with `what` when `promise` has not settled in time. */
export async function within(what, ms, promise) {
  let timer;
  const late = new Promise((_, refuse) => {
    timer = setTimeout(() => refuse(new Error(`${what}: not within ${ms * PATIENCE} ms`)), Math.min(ms * PATIENCE, 2 ** 31 - 1));
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
