//! One process under several ids: what becomes of messages that wait, of remembered ids, and of the cursor of each.

use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::cluster::{settled, stage};
use testkit::wait::secs;
use testkit::{Launch, RedisOptions, RedisServer, Serve, eventually};

/// A partner, and a node of which the configuration says `host`.
struct Stage {
    partner: Serve,
    host: Serve,
    launch: Launch,
    redis: RedisServer,
    _dir: TempDir,
}

fn start() -> Stage {
    let redis = RedisServer::with(RedisOptions { appendonly: true, ..RedisOptions::default() });
    let dir = stage();
    let launch = |id| Launch::new(dir.path(), id).redis(&redis).brisk();
    let (partner, host) = (launch("partner").start(), launch("host").start());
    settled(&[&partner, &host], secs(20.0));
    let launch = launch("host");
    Stage { partner, host, launch, redis, _dir: dir }
}

/// Starts a node and waits until it is a member.
#[track_caller]
fn member(launch: &Launch) -> Serve {
    let node = launch.start();
    node.until("it is a member", secs(20.0), |state| state["role"] != "observer");
    node
}

#[track_caller]
fn rename(node: &Serve, id: &str) {
    assert_eq!(node.ok("distributed.join_cluster", json!({"node_id": id}))["node_id"], id);
}

/// Sends messages of these ids to `to`, and waits until they are in the stream.
#[track_caller]
fn send(node: &Serve, to: Option<&str>, ids: &[&str]) {
    let message = |id: &&str| match to {
        Some(to) => json!({"id": id, "to": [to], "payload": id}),
        None => json!({"id": id, "payload": id}),
    };
    let ask = json!({"messages": ids.iter().map(message).collect::<Vec<_>>(), "limit": 0});
    eventually("the messages are in the stream", secs(20.0), || {
        let answer = node.ok("distributed.sync_messages", ask.clone());
        let there = answer["entry_ids"].as_array().is_some_and(|ids| ids.iter().all(Value::is_string));
        if there { Ok(()) } else { Err(answer) }
    });
}

/// Receives until `last` came; fails when a gap is told.
#[track_caller]
fn receive_to(node: &Serve, last: &str) -> Vec<String> {
    let mut ids: Vec<String> = Vec::new();
    eventually(&format!("{last} arrives"), secs(20.0), || {
        let answer = node.ok("distributed.sync_messages", json!({"wait_ms": 1000}));
        assert!(answer["gap"].is_null(), "{answer}");
        let received = answer["received"].as_array().unwrap();
        ids.extend(received.iter().map(|message| message["id"].as_str().unwrap().to_owned()));
        if ids.iter().any(|id| id == last) { Ok(()) } else { Err(format!("{ids:?}")) }
    });
    ids
}

/// Accepts a message while Redis is away, and kills the node.
#[track_caller]
fn queue_and_die(stage: &mut Stage, id: &str) {
    stage.redis.kill9();
    let answer =
        stage.host.ok("distributed.sync_messages", json!({"messages": [{"id": id, "payload": id}], "limit": 0}));
    assert_eq!(answer["queued"], 1, "{answer}");
    stage.host.kill9();
    stage.redis.restart();
}

#[test]
fn a_client_that_names_its_node_at_each_start_loses_nothing() {
    let mut stage = start();
    rename(&stage.host, "bot");
    send(&stage.partner, None, &["read"]);
    assert_eq!(receive_to(&stage.host, "read"), ["read"]);
    send(&stage.host, None, &["sent"]);
    queue_and_die(&mut stage, "queued");
    send(&stage.partner, Some("bot"), &["b1", "b2"]);
    send(&stage.partner, None, &["all"]);

    stage.host = member(&stage.launch);
    assert_eq!(stage.host.state()["node_id"], "host");
    assert_eq!(receive_to(&stage.partner, "queued"), ["sent", "queued"], "it is sent under the configured id, too");
    assert_eq!(receive_to(&stage.host, "all"), ["all"], "what is for everybody comes, what is for bot does not");
    let again = json!({"messages": [{"id": "sent", "payload": 1}, {"id": "queued", "payload": 1}], "limit": 0});
    assert_eq!(stage.host.ok("distributed.sync_messages", again.clone())["duplicates"], 2);

    rename(&stage.host, "bot");
    send(&stage.partner, None, &["new"]);
    assert_eq!(receive_to(&stage.host, "new"), ["b1", "b2", "new"], "the backlog of bot comes, and nothing twice");
    assert_eq!(stage.host.ok("distributed.sync_messages", again)["duplicates"], 2);
    send(&stage.host, None, &["end"]);
    assert_eq!(receive_to(&stage.partner, "end"), ["end"]);
}

#[test]
fn a_process_that_joined_under_another_id_first_gets_the_backlog_of_the_id_it_takes() {
    let stage = start();
    stage.host.sigterm();
    stage.host.exit_clean(secs(10.0));
    send(&stage.partner, Some("host"), &["m1", "m2"]);
    send(&stage.partner, None, &["m3"]);
    let other = member(&stage.launch.clone().env("OPENCLAW_NODE_ID", ""));
    assert_ne!(other.state()["node_id"], "host");
    rename(&other, "host");
    send(&stage.partner, None, &["m4"]);
    assert_eq!(receive_to(&other, "m4"), ["m1", "m2", "m3", "m4"]);
}

#[test]
fn a_join_under_another_id_than_the_configured_one_begins_where_that_one_stood() {
    let stage = start();
    stage.host.sigterm();
    stage.host.exit_clean(secs(10.0));
    send(&stage.partner, Some("host"), &["m1"]);
    // The store of this process has a cursor of its own, which lies behind all of that.
    let launch = stage.launch.clone().env("OPENCLAW_NODE_ID", "other");
    let other = member(&launch);
    send(&stage.partner, None, &["m2"]);
    assert_eq!(receive_to(&other, "m2"), ["m2"]);
    other.sigterm();
    other.exit_clean(secs(10.0));
    let out = launch.env("CLAWSTER__NODE__AUTO_JOIN", "false").start();
    rename(&out, "host");
    send(&stage.partner, None, &["m3"]);
    let got = receive_to(&out, "m3");
    assert_eq!((got.first().map(String::as_str), got.last().map(String::as_str)), (Some("m1"), Some("m3")), "{got:?}");
}

#[test]
fn a_store_that_a_rename_meets_is_taken_over() {
    let mut stage = start();
    send(&stage.host, None, &["sent"]);
    assert_eq!(receive_to(&stage.partner, "sent"), ["sent"]);
    queue_and_die(&mut stage, "queued");
    let other = member(&stage.launch.clone().env("OPENCLAW_NODE_ID", "other"));
    send(&other, None, &["own"]);
    assert_eq!(receive_to(&stage.partner, "own"), ["own"]);
    rename(&other, "host");
    assert_eq!(receive_to(&stage.partner, "queued"), ["queued"], "what waited under the id that was taken is sent");
    let again: Vec<Value> = ["sent", "queued", "own"].iter().map(|id| json!({"id": id, "payload": 1})).collect();
    let answer = other.ok("distributed.sync_messages", json!({"messages": again, "limit": 0}));
    assert_eq!(answer["duplicates"], 3, "{answer}");
    other.kill9();
    // The configured id finds the same store.
    let host = member(&stage.launch);
    let answer = host.ok("distributed.sync_messages", json!({"messages": again, "limit": 0}));
    assert_eq!(answer["duplicates"], 3, "{answer}");
}
