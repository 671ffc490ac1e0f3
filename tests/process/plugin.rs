//! The plugin's side of the pipe, run by Node.js against the built program: a frozen process is replaced, and no call waits for ever.

use crate::support::cluster::stage;
use crate::support::wait::secs;
use crate::support::{Launch, RedisServer, eventually};
use std::io::Read;
use std::process::{Command, Stdio};

/// Starts the plugin's node, freezes its process with a call under way, and tells what becomes of both.
const SCRIPT: &str = r#"
import { Node } from "PLUGIN/node.js";
const pids = [];
const say = (text) => pids.push(Number(/runs as process (\d+)/.exec(text)?.[1] ?? 0)) && undefined;
const logger = { info: say, error: (text) => console.error(text), warn: () => {}, debug: () => {} };
const node = new Node({ launch: () => ({ program: process.env.PROGRAM, env: process.env }), logger, onStart: () => {}, onEvent: () => {}, pingMs: 300 });
const state = async () => {
  for (;;) {
    const state = await node.call("distributed.get_cluster_state", {}).catch(() => undefined);
    if (state?.role !== "observer" && state?.nodes.length) return state;
    await new Promise((done) => setTimeout(done, 50));
  }
};
const first = await state();
const frozen = pids.filter(Boolean).at(-1);
process.kill(frozen, "SIGSTOP");
const lost = await node.call("distributed.get_cluster_state", {}).then(() => "answered", (error) => error.data.kind);
const second = await state();
node.answerMs = 1;
const timed = await node.call("distributed.sync_messages", { wait_ms: 200 }).then(() => "answered", (error) => error.code);
console.log(JSON.stringify({ lost, timed, same: first.node_id === second.node_id, replaced: pids.filter(Boolean).at(-1) !== frozen }));
await node.stop();
process.exit(0);
"#;

#[test]
fn a_frozen_process_of_a_gateway_is_replaced_and_its_calls_end() {
    let redis = RedisServer::start();
    let dir = stage();
    let launch = Launch::new(dir.path(), "a").redis(&redis).brisk();
    let plugin = concat!(env!("CARGO_MANIFEST_DIR"), "/openclaw-plugin");
    let script = dir.path().join("frozen.mjs");
    std::fs::write(&script, SCRIPT.replace("PLUGIN", plugin)).expect("the script");
    let mut command = Command::new("node");
    command.arg(&script).env_clear().envs(launch.environment()).env("PROGRAM", env!("CARGO_BIN_EXE_clawster"));
    command.current_dir(&launch.home).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("node (Node.js 22 or newer) runs: install it, the plugin is written for it");
    let ended = eventually("the script ends", secs(60.0), || child.try_wait().unwrap().ok_or("it runs"));
    let (mut out, mut err) = (String::new(), String::new());
    child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert!(ended.success(), "{out}{err}");
    let told: serde_json::Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}{err}"));
    assert_eq!(told["lost"], "node_unavailable", "{out}{err}");
    assert_eq!(told["timed"], -32011, "{out}{err}");
    assert_eq!((&told["same"], &told["replaced"]), (&true.into(), &true.into()), "{out}{err}");
    assert!(err.contains("does not answer any more; it is killed"), "{err}");
}
