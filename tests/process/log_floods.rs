//! No loop and no client fills a disk with log lines: what repeats is bounded, and counted.

use serde_json::Value;
use testkit::cluster::stage;
use testkit::wait::secs;
use testkit::{Launch, RedisServer, Serve, eventually};

/// How many lines a place writes at once at most, with some windows' single lines more.
const FEW: usize = 20 + 8;

/// The warnings and errors of a text, with how many each stands for.
fn told(log: &str, text: &str) -> Vec<u64> {
    let left_out = |line: &str| line.split_once("left_out=").map_or(0, |(_, n)| n.trim().parse().expect("a number"));
    log.lines().filter(|line| line.contains(text)).map(|line| 1 + left_out(line)).collect()
}

fn ended(node: &Serve) -> String {
    node.close_stdin();
    node.exit(secs(10.0));
    node.stderr()
}

#[test]
fn ten_thousand_broken_lines_of_a_host_are_few_lines_of_the_log() {
    let redis = RedisServer::start();
    let dir = stage();
    let session = Launch::new(dir.path(), "a").redis(&redis).brisk().run(&["mcp"]);
    session.send_raw(&b"no JSON\n".repeat(10_000)).expect("the session reads");
    let log = ended(&session);
    let told = told(&log, "is not JSON");
    assert!(told.len() <= FEW, "{} lines", told.len());
    assert_eq!(told.iter().sum::<u64>(), 10_000, "each is counted");
}

#[test]
fn heartbeats_that_fail_all_the_time_write_a_bounded_log() {
    let mut redis = RedisServer::start();
    let dir = stage();
    let launch = Launch::new(dir.path(), "a").redis(&redis).timing(0.1, 5.0, 5.0);
    let node = launch.env("CLAWSTER__NODE__RETRY_DELAY", "0.05").start();
    node.until("it leads", secs(20.0), |state| state["role"] == "leader");
    redis.kill9();
    eventually("lines are left out", secs(60.0), || {
        let log = node.stderr();
        if log.contains("left_out=") { Ok(()) } else { Err(log) }
    });
    assert_eq!(node.state()["redis"]["status"], Value::from("unavailable"));
    let log = ended(&node);
    let told = told(&log, "heartbeat attempt");
    assert!(told.len() <= FEW && told.iter().sum::<u64>() > told.len() as u64, "{told:?}\n{log}");
}
