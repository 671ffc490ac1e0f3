//! The plugin's side of the pipe, run by Node.js against the built program: a frozen process is replaced, and its calls end.
//!
//! Not here: the plugin within a gateway (`tests/e2e`), its generated parts (`tests/openclaw_plugin.rs`).

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use testkit::cluster::stage;
use testkit::wait::secs;
use testkit::{Launch, RedisServer, eventually};

/// Runs the plugin's node. Each part of the test writes one line of JSON; `until` asks again and again, and never gives up: the test does.
const PRELUDE: &str = r#"
import { readdirSync, readFileSync } from "node:fs";
import { Node } from "PLUGIN/node.js";
const pids = [], errors = [];
const info = (text) => /started the node.s process/.test(text) && pids.push(Number(/the node.s process (\d+)/.exec(text)[1]));
const logger = { info, error: (text) => errors.push(text), warn: () => {}, debug: () => {} };
const node = new Node({ launch: () => ({ program: process.env.PROGRAM, env: process.env }), logger, onStart: () => {}, onEvent: () => {}, pingMs: 500 });
const outcome = (call) => call.then(() => "answered", (error) => error.code ?? String(error));
const say = (what) => console.log(JSON.stringify(what));
const until = async (right) => {
  for (let why; ; await new Promise((done) => setTimeout(done, 50))) {
    const state = await node.call("distributed.get_cluster_state", {}).catch((error) => void (why = error.code ?? say({ defect: String(error) })));
    if (state && right(state)) return state;
  }
};
const member = (state) => state.role === "leader";
"#;

/// A process of Node.js with the plugin's client, killed with the test; so is its node, which may be frozen.
struct Gateway(Child, Receiver<Value>);

impl Gateway {
    fn start(launch: &Launch, script: &str) -> Self {
        let plugin = concat!(env!("CARGO_MANIFEST_DIR"), "/openclaw-plugin");
        let path = launch.home.join("gateway.mjs");
        std::fs::write(&path, format!("{PRELUDE}{script}").replace("PLUGIN", plugin)).expect("the script");
        let mut command = Command::new("node");
        command.arg(&path).env_clear().envs(launch.environment()).env("PROGRAM", testkit::program());
        command.current_dir(&launch.home).stdin(Stdio::null()).stdout(Stdio::piped()).process_group(0);
        let mut child = command.spawn().expect("node runs; `scripts/setup --npm` installs Node.js");
        let out = BufReader::new(child.stdout.take().unwrap());
        let (said, lines) = sync_channel(64);
        std::thread::spawn(move || {
            let lines = out.lines().map_while(Result::ok);
            lines.map(|line| serde_json::from_str(&line).expect("JSON")).try_for_each(|line| said.send(line))
        });
        Self(child, lines)
    }

    /// The next thing that it says.
    #[track_caller]
    fn says(&self) -> Value {
        self.1.recv_timeout(secs(60.0)).expect("the script says something")
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = kill_process_group(Pid::from_child(&self.0), Signal::KILL);
        let _ = self.0.wait();
    }
}

#[test]
fn a_frozen_process_of_a_gateway_is_replaced_and_its_calls_end() {
    let redis = RedisServer::alone();
    let dir = stage();
    let launch = Launch::new(dir.path(), "a").redis(&redis).brisk();
    let script = r#"
const first = await until(member);
const frozen = pids.at(-1);
process.kill(frozen, "SIGSTOP");
// Each thread stops by itself, and one that has not may still answer.
const runs = (thread) => !/\) T/.test(readFileSync(`/proc/${frozen}/task/${thread}/stat`, "utf8"));
while (readdirSync(`/proc/${frozen}/task`).some(runs)) await new Promise((done) => setTimeout(done, 5));
const lost = await Promise.all(["get_cluster_state", "sync_messages"].map((name) => outcome(node.call(`distributed.${name}`, {}))));
const second = await until(member);
say({ lost, same: first.node_id === second.node_id, lives: pids.length, killed: errors.filter((text) => /does not answer; killing and restarting it/.test(text)).length });
await node.stop();
say("stopped");
"#;
    let mut gateway = Gateway::start(&launch, script);
    let told = gateway.says();
    assert_eq!(told, json!({"lost": [-32011, -32011], "same": true, "lives": 2, "killed": 1}));
    assert_eq!(gateway.says(), json!("stopped"));
    let ended = eventually("the gateway ends", secs(30.0), || gateway.0.try_wait().unwrap().ok_or("it runs"));
    assert!(ended.success());
}

#[test]
fn a_frozen_gateway_is_killed_where_its_plugin_asked_for_that() {
    let redis = RedisServer::start();
    let dir = stage();
    let launch = Launch::new(dir.path(), "a").redis(&redis).brisk();
    let script = r#"
await until(member);
const watch = () => node.call("cluster.watch_host", { within_ms: 3000 });
const beats = setInterval(watch, 500);
await watch();
await new Promise((done) => setTimeout(done, 4000)); // Longer than the deadline: each call moves it.
say({ ready: process.pid });
"#;
    let mut gateway = Gateway::start(&launch, script);
    assert!(gateway.says()["ready"].is_u64());
    rustix::process::kill_process(Pid::from_child(&gateway.0), Signal::STOP).unwrap();
    let status = eventually("the frozen gateway is killed", secs(30.0), || {
        gateway.0.try_wait().ok().flatten().ok_or("it lives")
    });
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));
}

#[test]
fn each_thing_that_a_gateway_holds_has_a_deadline_of_its_own() {
    let redis = RedisServer::start();
    let dir = stage();
    let launch = Launch::new(dir.path(), "a").redis(&redis).brisk();
    let script = r#"
await until(member);
const watch = (name, within_ms) => node.call("cluster.watch_host", { name, ...(within_ms && { within_ms }) });
await watch("renewed", 60_000);
setInterval(() => watch("renewed", 60_000), 200);
await watch("left", 1500);
say(await watch("left")); // What was left counts no more; what is renewed still does.
await new Promise((done) => setTimeout(done, 2500)); // Longer than the deadline of what was left.
say({ ready: process.pid });
await watch("lost", 1500);
"#;
    let mut gateway = Gateway::start(&launch, script);
    assert_eq!(gateway.says(), json!({"watching": true}));
    assert!(gateway.says()["ready"].is_u64());
    let status = eventually("what is renewed does not hide what is lost", secs(30.0), || {
        gateway.0.try_wait().ok().flatten().ok_or("it lives")
    });
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));
}

#[test]
fn a_process_whose_redis_is_away_is_left_alone() {
    let redis = RedisServer::alone();
    let dir = stage();
    let launch = Launch::new(dir.path(), "a").redis(&redis).brisk();
    let script = r#"
await until(member);
say(pids.length);
await until((state) => state.redis.status !== "ok");
await new Promise((done) => setTimeout(done, 20 * node.pingMs));
await until(() => true);
say({ lives: pids.length, errors });
await node.stop();
"#;
    let gateway = Gateway::start(&launch, script);
    assert_eq!(gateway.says(), json!(1));
    redis.pause();
    assert_eq!(gateway.says(), json!({"lives": 1, "errors": []}));
}
