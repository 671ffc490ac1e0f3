//! Two versions side by side, as in a rolling upgrade.
//!
//! 1. What a newer version stores is simulated by writing it into Redis: unknown fields, kinds and words.
//! 2. A real other version runs where `CLAWSTER_OTHER_BINARY` names its program; without it that test is not run, and the checks say so.
//!
//! Not here: entries that nobody can read (`foreign.rs`).

use crate::foreign::{key, pass};
use serde_json::{Value, json};
use testkit::cluster::{member, settled, stage};
use testkit::wait::{eventually, secs};
use testkit::{Launch, RedisServer, Serve};

fn row(redis: &RedisServer, id: &str) -> Value {
    serde_json::from_str(&redis.cli(&["HGET", &key("members"), id])).expect("a row")
}

#[test]
fn what_a_newer_version_says_of_its_node_is_kept() {
    let (redis, dir) = (RedisServer::start(), stage());
    let launch = |id: &str| Launch::new(dir.path(), id).redis(&redis).brisk();
    let (a, b) = (launch("a").start(), launch("b").start());
    settled(&[&a, &b], secs(20.0));
    let mut newer = row(&redis, "b");
    newer["zone"] = json!("north");
    let mut metadata: Value = serde_json::from_str(newer["m"].as_str().unwrap()).unwrap();
    metadata["colour"] = json!({"deep": [1]});
    newer["m"] = json!(metadata.to_string());
    redis.cli(&["HSET", &key("members"), "b", &newer.to_string()]);
    b.ok("distributed.drain", json!({"enabled": true}));
    a.until("a sees b drain", secs(10.0), |state| member(state, "b").is_some_and(|b| b["status"] == "draining"));
    let kept = row(&redis, "b");
    assert_eq!((&kept["zone"], &kept["m"]), (&newer["zone"], &newer["m"]));
    // Its own word on itself changes what it knows, and leaves what it does not know.
    b.ok("distributed.join_cluster", json!({"name": "Bee"}));
    assert_eq!(row(&redis, "b")["zone"], "north");
    b.kill9();
    a.until("a sees b go", secs(10.0), |state| member(state, "b").is_some_and(|b| b["status"] == "offline"));
    assert_eq!(row(&redis, "b")["zone"], "north");
}

#[test]
fn a_member_in_a_state_that_only_a_newer_version_knows_is_seen_and_takes_no_part() {
    let (redis, dir) = (RedisServer::start(), stage());
    let a = Launch::new(dir.path(), "a").redis(&redis).brisk().start();
    settled(&[&a], secs(20.0));
    let mut newer = row(&redis, "a");
    newer["s"] = json!("hibernating");
    newer["k"] = json!("carrier pigeon");
    redis.cli(&["HSET", &key("members"), "z", &newer.to_string()]);
    a.until("a sees z", secs(10.0), |state| member(state, "z").is_some_and(|z| z["status"] == "offline"));
    let leader = a.ok("distributed.elect_leader", json!({}));
    assert_eq!(leader["leader_id"], "a");
    let fields = ["term", "7", "holder", "no id!"];
    let mut broken = vec!["HSET", "", fields[0], "no number", fields[2], fields[3]];
    let record = key("lease:leader");
    broken[1] = &record;
    redis.cli(&broken);
    eventually("the leader's record is whole again", secs(20.0), || {
        let state = a.state();
        let term = redis.cli(&["HGET", &record, "term"]);
        if state["role"] == "leader" && term.parse::<u64>().is_ok() { Ok(()) } else { Err(format!("{term} {state}")) }
    });
}

/// What two nodes do with each other, whatever version each is. A task of an earlier `turn` is not submitted twice.
fn work_together(leads: &Serve, follows: &Serve, turn: u32) {
    pass(leads, follows, "one way");
    pass(follows, leads, "and back");
    for (one, other) in [(leads, follows), (follows, leads)] {
        let lease = one.ok("distributed.acquire_lease", json!({"name": "both", "ttl_ms": 60_000}));
        assert_eq!(lease["acquired"], true, "{lease}");
        let refused = other.ok("distributed.acquire_lease", json!({"name": "both", "ttl_ms": 60_000}));
        assert_eq!(refused["acquired"], false, "{refused}");
        one.ok("distributed.release_lease", json!({"name": "both", "token": lease["token"]}));
        let id = format!("task-{turn}-of-{}", one.label);
        one.ok("distributed.submit_task", json!({"id": id, "kind": "k", "payload": {"of": id}}));
        let claimed = other.ok("distributed.claim_tasks", json!({"wait_ms": 5000}));
        let task = &claimed["tasks"][0];
        assert_eq!((&task["task_id"], &task["payload"]["of"]), (&json!(id), &json!(id)), "{claimed}");
        other.ok("distributed.complete_task", json!({"task_id": id, "token": task["token"], "result": 1}));
        assert_eq!(one.ok("distributed.get_task", json!({"task_id": id}))["state"], "done");
    }
}

#[test]
#[ignore = "needs a program of another version in CLAWSTER_OTHER_BINARY; scripts/other-version builds one"]
fn another_version_runs_in_the_same_cluster() {
    let named = std::env::var_os("CLAWSTER_OTHER_BINARY").filter(|path| !path.is_empty());
    let other =
        named.expect("CLAWSTER_OTHER_BINARY names a program of another version; scripts/other-version builds one");
    let (redis, dir) = (RedisServer::start(), stage());
    let launch = |id: &str| Launch::new(dir.path(), id).redis(&redis).brisk();
    let theirs = launch("theirs").program(&other);
    let (a, b) = (theirs.start(), launch("ours").start());
    settled(&[&a, &b], secs(20.0));
    for node in [&a, &b] {
        node.subscribe(Value::Null, None);
    }
    work_together(&a, &b, 1);
    // Leadership goes to and fro, by request and by a death.
    for candidate in ["ours", "theirs", "ours"] {
        let elected = a.ok("distributed.elect_leader", json!({"candidate": candidate, "force": true}));
        assert_eq!(elected["leader_id"], candidate, "{elected}");
        settled(&[&a, &b], secs(20.0));
    }
    b.kill9();
    a.until("the other version leads", secs(20.0), |state| state["role"] == "leader");
    let b = launch("ours").start();
    settled(&[&a, &b], secs(20.0));
    b.subscribe(Value::Null, None);
    a.kill9();
    b.until("this version leads", secs(20.0), |state| state["role"] == "leader");
    let a = theirs.start();
    settled(&[&a, &b], secs(20.0));
    a.subscribe(Value::Null, None);
    work_together(&b, &a, 2);
    // An upgrade and a downgrade of one id, each with what waits for it.
    a.ok("distributed.leave_cluster", json!({}));
    a.kill9();
    b.ok(
        "distributed.sync_messages",
        json!({"messages": [{"id": "kept", "to": ["theirs"], "payload": "kept"}], "limit": 0}),
    );
    let upgraded = launch("theirs").start();
    let got = upgraded.ok("distributed.sync_messages", json!({"wait_ms": 5000, "auto_ack": false}));
    assert_eq!(got["received"][0]["payload"], "kept", "{got}");
    upgraded.ok("distributed.sync_messages", json!({"ack": got["cursor"], "limit": 0}));
    upgraded.kill9();
    b.ok(
        "distributed.sync_messages",
        json!({"messages": [{"id": "kept-2", "to": ["theirs"], "payload": "kept too"}], "limit": 0}),
    );
    let downgraded = theirs.start();
    let got = downgraded.ok("distributed.sync_messages", json!({"wait_ms": 5000}));
    assert_eq!(got["received"][0]["payload"], "kept too", "{got}");
    settled(&[&downgraded, &b], secs(20.0));
}
