// One private Redis for both gateways, on a unix socket in the test's own folder, so that no port can collide.

import { mkdirSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";

import { start, stop } from "./processes.mjs";
import { eventually } from "./wait.mjs";

export class Redis {
  constructor(folder) {
    this.folder = folder;
    this.socket = join(folder, "redis.sock");
    this.url = `redis+unix://${this.socket}`;
    this.log = join(folder, "redis.log");
  }

  async start() {
    mkdirSync(this.folder, { recursive: true });
    const program = process.env.CLAWSTER_REDIS_SERVER || "redis-server";
    const options = ["--port", "0", "--unixsocket", this.socket, "--save", "", "--appendonly", "no", "--dir", this.folder];
    this.child = start(program, options, { log: this.log });
    await eventually(`${program} answers`, () => this.#ping());
  }

  #ping() {
    return new Promise((resolve, refuse) => {
      const socket = connect(this.socket, () => socket.write("PING\r\n"));
      socket.once("data", (data) => {
        socket.destroy();
        resolve(data.toString().startsWith("+PONG"));
      });
      socket.once("error", refuse);
    });
  }

  async stop() {
    if (this.child) await stop(this.child, 10_000);
  }
}
