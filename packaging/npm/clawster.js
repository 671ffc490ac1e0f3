#!/usr/bin/env node
// Becomes the clawster program of this platform, which npm installed as an optional dependency.
import { spawn } from "node:child_process";
import { constants } from "node:os";
import { program } from "../platform.js";

let path;
try {
  path = program();
} catch (error) {
  console.error(`clawster: ${error.message}`);
  process.exit(1);
}
const args = process.argv.slice(2);
// Newer versions of Node.js become the program, so that it gets signals and uses no more memory than by itself.
if (process.execve) process.execve(path, ["clawster", ...args], process.env);
const child = spawn(path, args, { stdio: "inherit" });
for (const signal of ["SIGHUP", "SIGINT", "SIGTERM", "SIGQUIT", "SIGUSR2"]) process.on(signal, () => child.kill(signal));
child.on("error", (error) => {
  console.error(`clawster: cannot start ${path}: ${error.message}`);
  process.exit(1);
});
child.on("exit", (code, signal) => process.exit(code ?? 128 + (constants.signals[signal] ?? 0)));
