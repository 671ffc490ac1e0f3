// One real OpenClaw gateway with a home of its own: configured by file, started as a service manager would, spoken to by HTTP,
// WebSocket and its command line, and stopped by its process id.
//
// 1. Nothing of the caller's own OpenClaw or clawster is seen or touched: home, state and every variable are the gateway's own.
// 2. Ports are free ones that the system chose.

import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";

import { Client } from "./client.mjs";
import { openclaw } from "./places.mjs";
import { alive, descendants, endNow, run, start } from "./processes.mjs";
import { eventually } from "./wait.mjs";

const START_MS = 180_000;
const STOP_MS = 60_000;
const TAIL_LINES = 15;

export class Gateway {
  constructor(name, folder, redis) {
    this.name = name;
    this.home = join(folder, name);
    this.state = join(this.home, "openclaw");
    this.token = `token-of-${name}`;
    this.log = join(this.home, "gateway.log");
    this.nodeLog = join(this.home, "clawster", "logs", "heartbeat.log");
    this.env = {
      PATH: process.env.PATH,
      LANG: "C.UTF-8",
      HOME: this.home,
      TMPDIR: join(this.home, "tmp"),
      OPENCLAW_STATE_DIR: this.state,
      CLAWSTER_STATE_DIR: join(this.home, "clawster"),
      OPENCLAW_NODE_ID: name,
      REDIS_URL: redis.url,
      NO_COLOR: "1",
      MODEL_PROVIDER_KEY: "nothing for the node",
      npm_config_offline: "true", // Installing the plugin must need no registry.
    };
  }

  /** Writes the configuration; `more` is merged in at the top. */
  async configure(more) {
    this.port = await freePort();
    mkdirSync(this.state, { recursive: true });
    mkdirSync(this.env.TMPDIR, { recursive: true });
    const gateway = { mode: "local", port: this.port, auth: { mode: "token", token: this.token } };
    const settings = { gateway, logging: { file: join(this.home, "openclaw.log") }, ...more };
    writeFileSync(this.#settingsFile, JSON.stringify(settings, null, 2));
  }

  /** Changes the settings in place, as an operator would in an editor. */
  change(edit) {
    const settings = JSON.parse(readFileSync(this.#settingsFile, "utf8"));
    edit(settings);
    writeFileSync(this.#settingsFile, JSON.stringify(settings, null, 2));
  }

  get #settingsFile() {
    return join(this.state, "openclaw.json");
  }

  /** Runs `openclaw …` in this gateway's home; an object as the last argument has the command's `input`. */
  cli(...args) {
    const { input } = typeof args.at(-1) === "object" ? args.pop() : {};
    return run(process.execPath, [openclaw, ...args], { env: this.env, cwd: this.home, input });
  }

  /** What `openclaw …` prints, for a command that prints JSON and must succeed. */
  async json(...args) {
    const { code, stdout, stderr } = await this.cli(...args);
    if (code !== 0) throw new Error(`openclaw ${args.join(" ")} ended with ${code}: ${stderr}${stdout}`);
    return JSON.parse(stdout);
  }

  /** Starts the gateway, and again when it ends by itself if `kept` is set, as a service manager would. */
  async start() {
    this.leaving = false;
    const child = (this.child = start(process.execPath, [openclaw, "gateway", "run", "--bind", "loopback"], {
      env: this.env,
      cwd: this.home,
      log: this.log,
    }));
    child.once("exit", (code, signal) => {
      if (!this.kept || this.leaving || this.child !== child) return;
      console.error(`${this.name} ended with ${signal ?? code}; starting it again`);
      this.start().catch((error) => console.error(error.message));
    });
    const ready = async () => {
      if (this.child.exitCode !== null || this.child.signalCode !== null) return "ended";
      return (await fetch(`http://127.0.0.1:${this.port}/startupz`)).ok;
    };
    if ((await eventually(`${this.name} is ready`, ready, START_MS)) === "ended") throw new Error(`${this.name} ended at its start`);
  }

  /** `POST /tools/invoke`, as `{status, body}`. */
  async post(tool, args = {}) {
    const response = await fetch(`http://127.0.0.1:${this.port}/tools/invoke`, {
      method: "POST",
      headers: { authorization: `Bearer ${this.token}`, "content-type": "application/json" },
      body: JSON.stringify({ tool, args }),
    });
    return { status: response.status, body: await response.json() };
  }

  /** What a cluster method answers, asked for as a tool over HTTP. */
  async call(method, args) {
    const { status, body } = await this.post(method, args);
    if (status !== 200) throw new Error(`${method} on ${this.name}: HTTP ${status}: ${JSON.stringify(body)}`);
    return body.result.details;
  }

  connect(...scopes) {
    return Client.connect(this, scopes);
  }

  /** The processes of this gateway's node: one, or none while it is being started again. */
  nodes() {
    return descendants(this.child.pid).filter(({ line }) => /clawster serve/.test(line));
  }

  /** All processes of this gateway, its own included. */
  family() {
    return [this.child.pid, ...descendants(this.child.pid).map((one) => one.pid)];
  }

  kill() {
    this.leaving = true;
    this.child.kill("SIGKILL");
    return this.#ended();
  }

  /** SIGTERM, and what is left of the gateway's processes after it. */
  async stop() {
    const family = this.family();
    this.leaving = true;
    this.child.kill("SIGTERM");
    await this.#ended();
    return family;
  }

  #ended() {
    const { child } = this;
    return eventually(`${this.name} ends`, () => child.exitCode !== null || child.signalCode !== null, STOP_MS);
  }

  /** For the end of the test, also of a failed one: nothing of this gateway goes on. */
  end() {
    this.leaving = true;
    if (this.child && alive(this.child.pid)) endNow(this.child.pid);
  }

  /** The last lines of the gateway's and the node's logs, for a failure. */
  tails() {
    return [this.log, this.nodeLog].map((file) => {
      const text = existsSync(file) ? readFileSync(file, "utf8").trimEnd().split("\n").slice(-TAIL_LINES).join("\n") : "(no such file)";
      return `--- the end of ${file}\n${text}`;
    });
  }
}

function freePort() {
  return new Promise((resolve, refuse) => {
    const server = createServer();
    server.once("error", refuse);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}
