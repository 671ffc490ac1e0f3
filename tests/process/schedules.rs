//! Delays of tasks go by the clock on the wall: what fell due in an outage is handed out right after it.

use serde_json::json;
use testkit::Launch;
use testkit::cluster::stage;
use testkit::wait::secs;
use testkit::{RedisServer, Serve, hold, stamp};

const SUBMIT: &str = "distributed.submit_task";
const CLAIM: &str = "distributed.claim_tasks";

fn claim(node: &Serve) {
    let claimed = node.ok(CLAIM, json!({"kinds": ["d"], "wait_ms": 60_000}));
    assert_eq!(claimed["tasks"][0]["task_id"], "t", "{claimed}");
}

#[test]
fn a_task_that_fell_due_while_redis_was_frozen_runs_at_once() {
    let redis = RedisServer::start();
    let dir = stage();
    let node = Launch::new(dir.path(), "a").redis(&redis).brisk().start();
    node.ok("cluster.heartbeat", json!([]));
    // Before the call: the delay begins while it is under way.
    let submitted = stamp();
    node.ok(SUBMIT, json!({"id": "t", "kind": "d", "payload": 1, "delay_ms": 15_000}));
    redis.pause();
    hold(secs(12.0), "an outage of several TTLs");
    redis.resume();
    node.until("Redis answers", secs(20.0), |state| state["redis"]["status"] == "ok");
    claim(&node);
    let took = stamp() - submitted;
    // On cluster time it would be 12 s more.
    assert!(took >= secs(15.0) && took < secs(22.0), "{took:?}");
}

#[test]
fn a_task_that_fell_due_while_no_node_ran_is_handed_out_by_the_first_one() {
    let redis = RedisServer::start();
    let dir = stage();
    let launch = Launch::new(dir.path(), "a").redis(&redis).brisk();
    let node = launch.start();
    node.ok("cluster.heartbeat", json!([]));
    node.ok(SUBMIT, json!({"id": "t", "kind": "d", "payload": 1, "delay_ms": 12_000}));
    let submitted = stamp();
    node.close_stdin();
    node.exit_clean(secs(10.0));
    hold(secs(10.0), "nobody beats for several TTLs");
    let node = launch.start();
    claim(&node);
    let took = stamp() - submitted;
    assert!(took >= secs(12.0) && took < secs(19.0), "{took:?}");
}
