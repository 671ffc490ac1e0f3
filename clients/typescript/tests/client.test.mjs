// The client against real nodes. CLAWSTER_PROGRAM and CLAWSTER_REDIS_SERVER name the programs.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { copyFile, mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect as connectTcp, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { ClawsterError, connect, LeaseHeld, LeaseLost, NoNode, PermanentFailure } from "../dist/index.js";

const PROGRAM = process.env.CLAWSTER_PROGRAM ?? "clawster";
const REDIS = process.env.CLAWSTER_REDIS_SERVER ?? "redis-server";
const PATIENCE = 20_000;

async function eventually(holds) {
  for (const end = Date.now() + PATIENCE; ; await sleep(50)) {
    const result = await holds();
    if (result) return result;
    assert.ok(Date.now() < end, `not within ${PATIENCE} ms: ${holds}`);
  }
}

describe("the client", () => {
  let folder;
  let port;
  const processes = new Map();
  const clients = [];

  const env = (node) => ({
    PATH: process.env.PATH,
    HOME: folder,
    CLAWSTER_STATE_DIR: join(folder, node),
    CLAWSTER_CONFIG_DIR: folder,
    REDIS_HOST: "127.0.0.1",
    REDIS_PORT: String(port),
    OPENCLAW_NODE_ID: node,
    CLAWSTER__NODE__HEARTBEAT_INTERVAL: "0.5",
    CLAWSTER__NODE__HEARTBEAT_TTL: "2",
    CLAWSTER__LEADER__LEASE_TTL: "3",
    CLAWSTER__LOGGING__LEVEL: "error",
  });

  function start(name, program, args, options) {
    const child = spawn(program, args, { stdio: "ignore", ...options });
    processes.set(name, child);
    return child;
  }

  async function stop(name) {
    const child = processes.get(name);
    processes.delete(name);
    if (child?.exitCode !== null) return;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill();
    await ended;
  }

  async function node(name, more = {}) {
    start(name, PROGRAM, ["serve", "--stay"], { env: { ...env(name), ...more } });
    const client = connect({ node: name, stateDir: join(folder, name) });
    clients.push(client);
    await eventually(async () => {
      try {
        return (await client.distributed.getClusterState()).role !== "observer";
      } catch {
        return false;
      }
    });
    return client;
  }

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "clawster-"));
    port = await new Promise((resolve) => {
      const probe = createServer().listen(0, "127.0.0.1", () => {
        const { port } = probe.address();
        probe.close(() => resolve(port));
      });
    });
    start("redis", REDIS, ["--port", String(port), "--save", "", "--bind", "127.0.0.1", "--dir", folder]);
    const answers = () =>
      new Promise((resolve) => {
        const socket = connectTcp(port, "127.0.0.1");
        socket.once("connect", () => resolve(socket.destroy()));
        socket.once("error", () => resolve(false));
      });
    await eventually(answers);
  });

  afterEach(async () => {
    await Promise.all(clients.splice(0).map((client) => client.close()));
    for (const name of [...processes.keys()].filter((name) => name !== "redis")) await stop(name);
  });

  after(async () => {
    await stop("redis");
    await rm(folder, { recursive: true, force: true });
  });

  test("messages arrive, and errors are of their kind", async () => {
    const [receiver, sender] = [await node("b"), await node("a")];
    await sender.distributed.syncMessages({ messages: [{ id: "one", topic: "deploy", payload: { version: "1.4.0" } }] });
    const got = await receiver.distributed.syncMessages({ wait_ms: 5000 });
    assert.deepEqual(got.received.map(({ id, from, payload }) => [id, from, payload]), [["one", "a", { version: "1.4.0" }]]);
    const refused = sender.distributed.electLeader({ candidate: "nobody", force: true });
    await assert.rejects(refused, (error) => error instanceof ClawsterError && error.kind === "unknown_node" && !error.retryable);
    await assert.rejects(connect({ node: "nobody", stateDir: folder }).distributed.getClusterState(), NoNode);
  });

  test("events go on after a restart of the node", async () => {
    const client = await node("c");
    const seen = [];
    const stopping = new AbortController();
    const watching = (async () => {
      for await (const event of client.events({ names: ["cluster.node_joined"], signal: stopping.signal })) {
        seen.push(`${event.node_id} ${event.rejoined}`);
      }
    })();
    await sleep(500);
    await node("d");
    await eventually(() => seen.includes("d false"));
    await stop("c");
    await node("c");
    await eventually(() => seen.includes("c true"));
    assert.equal(new Set(seen).size, seen.length, "each once");
    stopping.abort();
    await watching;
  });

  test("a lease is renewed, and its loss stops the work", async () => {
    const [first, second] = [await node("e"), await node("f")];
    await first.withLease("job", { ttlMs: 1500 }, async ({ token }) => {
      await assert.rejects(second.withLease("job", {}, () => assert.fail("two holders")), LeaseHeld);
      await sleep(2500);
      assert.equal((await first.distributed.checkLease({ name: "job", token })).valid, true, "it was renewed");
    });
    const lost = first.withLease("job", { ttlMs: 1500 }, async ({ token, signal }) => {
      await first.distributed.releaseLease({ name: "job", token });
      await sleep(PATIENCE, undefined, { signal });
    });
    await assert.rejects(lost, LeaseLost);
  });

  test("a worker completes, fails and returns tasks", async () => {
    const client = await node("g");
    const stopping = new AbortController();
    let stuck = false;
    const handle = async (task, signal) => {
      if (task.payload === "bad") throw new PermanentFailure("no such address");
      if (task.payload === "long") {
        stuck = true;
        await sleep(PATIENCE, undefined, { signal });
      }
      return { sent: task.payload };
    };
    const working = client.work("mail", handle, { jobs: 2, signal: stopping.signal });
    for (const payload of ["one", "bad", "two"]) await client.distributed.submitTask({ kind: "mail", payload, id: payload });
    const state = async (task_id) => (await client.distributed.getTask({ task_id })).state;
    const states = () => Promise.all(["one", "bad", "two"].map(state));
    await eventually(async () => (await states()).every((one) => one === "done" || one === "failed"));
    assert.deepEqual(await states(), ["done", "failed", "done"]);
    await client.distributed.submitTask({ kind: "mail", payload: "long", id: "long", timeout_ms: 2000 });
    await eventually(() => stuck);
    await sleep(3000);
    assert.equal(await state("long"), "running", "it was extended");
    stopping.abort();
    await working;
    assert.ok(["waiting", "delayed"].includes(await state("long")), "it was returned");
  });

  test("the example of a worker compiles, completes a task and stops", async () => {
    const client = await node("w");
    // Below this package, so that its name leads here.
    const example = await mkdtemp(join(import.meta.dirname, "example-"));
    try {
      await copyFile(join(import.meta.dirname, "../../../examples/worker-typescript/worker.ts"), join(example, "worker.ts"));
      const options = ["--strict", "--module", "nodenext", "--target", "es2023", "--types", "node", join(example, "worker.ts")];
      execFileSync(process.execPath, [join(import.meta.dirname, "../node_modules/typescript/bin/tsc"), ...options], { stdio: "inherit" });
      const worker = start("worker", process.execPath, [join(example, "worker.js")], { env: env("w") });
      await client.distributed.submitTask({ kind: "greet", payload: { name: "Ada" }, id: "hello" });
      const task = await eventually(async () => {
        const task = await client.distributed.getTask({ task_id: "hello" });
        return task.state === "done" && task;
      });
      assert.deepEqual(task.result, { greeting: "Hello, Ada!", attempt: 1 });
      await stop("worker");
      assert.equal(worker.exitCode, 0);
    } finally {
      await rm(example, { recursive: true });
    }
  });

  test("HTTP does the same", async () => {
    const web = await new Promise((resolve) => {
      const probe = createServer().listen(0, "127.0.0.1", () => {
        const { port } = probe.address();
        probe.close(() => resolve(port));
      });
    });
    const token = "a-token-of-more-than-24-characters";
    await writeFile(join(folder, "secrets.json"), JSON.stringify({ http: { token } }), { mode: 0o600 });
    await node("web", { CLAWSTER__HTTP__LISTEN: `127.0.0.1:${web}` });
    const client = connect({ url: `http://127.0.0.1:${web}`, token });
    assert.equal((await client.distributed.getClusterState()).node_id, "web");
    assert.equal((await client.distributed.runOnce({ key: "k", ttl_ms: 60_000 })).granted, true);
    for await (const event of client.events({ names: ["cluster.node_joined"], after: "0-0" })) {
      assert.equal(event.event, "cluster.node_joined");
      break;
    }
    await rm(join(folder, "secrets.json"));
  });

  test("a child is a node, and leaves at the end", async () => {
    const witness = await node("h");
    const client = connect({ command: [PROGRAM, "serve"], env: env("child") });
    await eventually(async () => (await client.distributed.getClusterState()).role !== "observer");
    for await (const event of client.events({ names: ["cluster.node_joined"], after: "0-0" })) {
      assert.equal(event.event, "cluster.node_joined");
      break;
    }
    await client.close();
    const { nodes } = await witness.distributed.getClusterState({ fresh: true });
    assert.equal(nodes.find(({ node_id }) => node_id === "child").status, "left");
  });
});
