// Questions of other gateways' agents: each becomes a turn of a session of its own. The node has checked its policy before.
import { setTimeout as sleep } from "node:timers/promises";
import { gatewayCall } from "./gateway.js";
import { clean, visible } from "./text.js";

const TAKE_MS = 60_000;
const EXTEND_MS = 8_000;
const LOOK_MS = 2_000;
const MAX_REPLY = 60_000;
const MAX_RUNNING = 4;

/** Takes and answers questions until `signal` is aborted. */
export async function answerQuestions({ agent = "main" }, runtime, call, { logger, gatewayEvents }, signal) {
  const running = new Set();
  while (!signal.aborted) {
    try {
      if (running.size >= MAX_RUNNING) await Promise.race(running);
      const { questions } = await call("cluster.take_questions", { wait_ms: TAKE_MS });
      for (const question of questions) {
        const turn = answer(question).catch((error) => logger.warn(`clawster: question ${question.task_id}: ${error.message}`));
        running.add(turn);
        turn.finally(() => running.delete(turn));
      }
    } catch (error) {
      if (signal.aborted) return;
      logger.debug?.(`clawster: cannot take questions: ${error.message}`);
      await sleep(LOOK_MS, undefined, { signal }).catch(() => {});
    }
  }

  async function answer({ task_id: id, token, from, message, session, reply, tools, remaining_ms: remaining }) {
    const sessionKey = `agent:${agent}:clawster:${word(from)}:${word(session ?? "main")}`;
    const began = performance.now();
    const held = { task_id: id, token };
    let result;
    let run;
    try {
      run = await runtime.subagent.run({
        sessionKey, deliver: false, disableTools: !tools, idempotencyKey: id,
        message: await turnText(from, message, reply),
      });
      result = await follow(run.runId, began + remaining, held);
    } catch (error) {
      if (run) await gatewayCall("chat.abort", { sessionKey, runId: run.runId }).catch(() => {}); // Nobody waits for it any more.
      if (error.code === -32007 || error.code === -32009) {
        logger.info(`clawster: question ${id} of ${from} was cancelled, or is too late`);
        return;
      }
      result = { state: "failed", error: clean(error.message) };
    }
    logger.info(`clawster: question ${id} of ${from}: ${result.state}${result.error ? `: ${result.error}` : ""}`);
    gatewayEvents?.emit("question_answered", { run_id: id, from, tools, state: result.state }, { scope: "operator.read" });
    await call("distributed.complete_task", { ...held, result });
  }

  /** Waits for the end of the turn, and keeps the task meanwhile. */
  async function follow(runId, end, held) {
    for (let extended = performance.now(); ;) {
      const wait = Math.min(LOOK_MS, Math.ceil(end - performance.now()));
      if (wait <= 0) throw Object.assign(new Error("the time for the reply is over"), { code: -32007 });
      const { status, error, terminalReply } = await runtime.subagent.waitForRun({ runId, timeoutMs: wait });
      if (status === "ok") return { state: "done", reply: textOf(terminalReply).slice(0, MAX_REPLY) };
      if (status !== "timeout" && status !== "pending") return { state: "failed", error: clean(error ?? status) };
      if (performance.now() - extended > EXTEND_MS) {
        extended = performance.now();
        await call("distributed.extend_task", held, 10_000);
      }
    }
  }
}

/** The text as a part of a session key: two different texts give two different parts. */
const word = (text) => text.replace(/[^a-z0-9-]/gu, (character) => `_${character.codePointAt(0).toString(16)}_`);
const textOf = (reply) => (typeof reply === "string" ? reply : reply?.text ?? "");

async function turnText(from, message, reply) {
  const { wrapExternalContent } = await import("openclaw/plugin-sdk/security-runtime");
  const about = reply ? `The agent of the gateway ${from} asks. Your answer goes back to it.` : `The agent of the gateway ${from} says something. It gets no answer.`;
  return `${about}\n\n${wrapExternalContent(visible(message), { source: "api", sender: from, taskName: "message of another gateway's agent" })}`;
}
