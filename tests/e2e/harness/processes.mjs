// Processes that the test starts: each in a group of its own, and none survives the test, whatever happens to it.
//
// 1. A process is ended by its id only, never by its name.
// 2. What a started process started in its turn is found by its parents and ended with it.

import { spawn, spawnSync } from "node:child_process";
import { closeSync, existsSync, openSync, readFileSync, readdirSync } from "node:fs";

import { eventually, PATIENCE } from "./wait.mjs";

const started = new Map();

/** All processes of this host, as `{pid, parent, state, line}`: from /proc where there is one, else from `ps`. */
function all() {
  if (!existsSync("/proc/self/stat")) {
    const { stdout } = spawnSync("ps", ["-A", "-o", "pid=,ppid=,stat=,args="], { encoding: "utf8" });
    const rows = [...stdout.matchAll(/^ *(\d+) +(\d+) +(\S+) +(.*)$/gm)];
    return rows.map(([, pid, parent, state, line]) => ({ pid: Number(pid), parent: Number(parent), state, line }));
  }
  return readdirSync("/proc").filter((name) => /^\d+$/.test(name)).flatMap((pid) => {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
      const [state, parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      const line = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
      return [{ pid: Number(pid), parent: Number(parent), state, line }];
    } catch {
      return []; // It has ended in the meantime.
    }
  });
}

/** Whether a process with this id lives (a zombie counts as dead). */
export const alive = (pid) => all().some((one) => one.pid === pid && !one.state.startsWith("Z"));

/** All processes below `pid`. */
export function descendants(pid) {
  const everything = all();
  const below = [];
  const parents = [pid];
  for (const parent of parents) {
    for (const child of everything.filter((one) => one.parent === parent)) {
      below.push(child);
      parents.push(child.pid);
    }
  }
  return below;
}

/** Starts a process that stays; its output goes to `log`, which is appended to. */
export function start(command, args, { log, ...options }) {
  const out = openSync(log, "a");
  const child = spawn(command, args, { detached: true, stdio: ["ignore", out, out], ...options });
  closeSync(out);
  child.once("error", (error) => (child.failure = error));
  started.set(child.pid, child);
  child.once("exit", () => started.delete(child.pid));
  return child;
}

/** Runs a command to its end. Never throws for an exit code: the caller looks at `{code, stdout, stderr, ms}`. */
export function run(command, args, { within = 120_000, input, ...options } = {}) {
  return new Promise((resolve, refuse) => {
    const began = performance.now();
    const child = spawn(command, args, { detached: true, stdio: [input ? "pipe" : "ignore", "pipe", "pipe"], ...options });
    started.set(child.pid, child);
    child.stdin?.end(input);
    const timer = setTimeout(() => endNow(child.pid), within * PATIENCE);
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text) => (stdout += text));
    child.stderr.setEncoding("utf8").on("data", (text) => (stderr += text));
    child.once("error", refuse);
    child.once("close", (code, signal) => {
      clearTimeout(timer);
      started.delete(child.pid);
      resolve({ code: code ?? signal, stdout, stderr, ms: performance.now() - began });
    });
  });
}

/** Kills a process and all below it with SIGKILL, at once. */
export function endNow(pid) {
  const family = [...descendants(pid).map((one) => one.pid), pid];
  for (const one of family) {
    try {
      process.kill(one, "SIGKILL");
    } catch {
      // It has ended by itself in the meantime.
    }
  }
}

/** Asks a started process to stop, as a service manager does, and waits for its end. */
export async function stop(child, within) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill("SIGTERM");
  await eventually(`process ${child.pid} ends on SIGTERM`, () => child.exitCode !== null || child.signalCode !== null, within);
}

function endAll() {
  for (const pid of started.keys()) endNow(pid);
}

process.on("exit", endAll);
for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 143], ["SIGHUP", 129]]) process.on(signal, () => process.exit(code));
