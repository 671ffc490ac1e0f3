// A WebSocket client of a gateway, as its protocol describes one: it answers the challenge with a signature of its own device key,
// keeps all events, and calls methods.

import { createHash, generateKeyPairSync, sign } from "node:crypto";

import { eventually, within } from "./wait.mjs";

const PROTOCOL = 4;

export class Client {
  /** Every event so far, as `{event, payload}`, oldest first. */
  events = [];
  #waiting = new Map();
  #last = 0;

  /** Connects with these scopes, `operator.read` and so on, and returns when the gateway has said hello. */
  static async connect({ port, token }, scopes) {
    const client = new Client();
    client.socket = new WebSocket(`ws://127.0.0.1:${port}/`);
    const hello = new Promise((resolve, refuse) => {
      client.socket.onerror = () => refuse(new Error("the gateway refused the WebSocket"));
      client.socket.onclose = ({ code, reason }) => client.#end(new Error(`the gateway closed the WebSocket: ${code} ${reason}`));
      client.socket.onmessage = ({ data }) => {
        const frame = JSON.parse(data);
        if (frame.event === "connect.challenge") resolve(client.request("connect", identify(frame.payload, token, scopes)));
        else if (frame.type === "event") client.events.push({ event: frame.event, payload: frame.payload });
        else client.#answered(frame);
      };
    });
    client.hello = await within("the gateway's hello", 30_000, hello);
    return client;
  }

  request(method, params) {
    const id = String(++this.#last);
    const answer = new Promise((resolve, refuse) => this.#waiting.set(id, { resolve, refuse }));
    this.socket.send(JSON.stringify({ type: "req", id, method, params }));
    return within(`the gateway's answer to ${method}`, 60_000, answer);
  }

  /** The first event of this name that fits, also one that came earlier. */
  event(name, fits = () => true, ms = 30_000) {
    return eventually(`the event ${name}`, () => this.events.find((one) => one.event === name && fits(one.payload)), ms);
  }

  close() {
    this.socket.close();
  }

  #answered({ id, ok, payload, error }) {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (ok) waiting?.resolve(payload);
    else waiting?.refuse(new Error(JSON.stringify(error)));
  }

  #end(error) {
    for (const { refuse } of this.#waiting.values()) refuse(error);
    this.#waiting.clear();
  }
}

function identify({ nonce, ts }, token, scopes) {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const key = publicKey.export({ format: "jwk" }).x;
  const id = createHash("sha256").update(Buffer.from(key, "base64url")).digest("hex");
  const client = { id: "gateway-client", version: "1.0.0", platform: process.platform, mode: "backend" };
  const signed = ["v2", id, client.id, client.mode, "operator", scopes.join(","), ts, token, nonce].join("|");
  const signature = sign(null, Buffer.from(signed), privateKey).toString("base64url");
  const device = { id, publicKey: key, signature, signedAt: ts, nonce };
  return { minProtocol: PROTOCOL, maxProtocol: PROTOCOL, client, role: "operator", scopes, caps: [], auth: { token }, device };
}
