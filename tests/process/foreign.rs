//! Somebody else writes into the streams, or a newer version does: nothing stops, nothing spins, and it is said once.
//!
//! Not here: a newer version's rows and calls (`versions.rs`), broken keys (`tests/contract/corrupt_data.rs`).

use serde_json::{Value, json};
use testkit::cluster::{settled, stage};
use testkit::wait::{hold, secs};
use testkit::{Launch, RedisServer, Serve};

const SYNC: &str = "distributed.sync_messages";

pub fn key(name: &str) -> String {
    format!("clawster:{{openclaw}}:{name}")
}

/// Adds an entry as the script of a newer version would: with the next number.
pub fn plant(redis: &RedisServer, stream: &str, counter: &str, fields: &[&str]) -> u64 {
    let seq: u64 = redis.cli(&["HINCRBY", &key("meta"), counter, "1"]).parse().unwrap();
    let (key, id) = (key(stream), format!("{seq}-0"));
    let mut command = vec!["XADD", &key, &id];
    command.extend(fields);
    redis.cli(&command);
    seq
}

fn payloads(answer: &Value) -> Vec<Value> {
    answer["received"].as_array().unwrap().iter().map(|message| message["payload"].clone()).collect()
}

/// Sends from one to the other, and receives it.
#[track_caller]
pub fn pass(from: &Serve, to: &Serve, text: &str) {
    from.ok(SYNC, json!({"messages": [text], "limit": 0}));
    let mut got = Vec::new();
    for _ in 0..10 {
        got.extend(payloads(&to.ok(SYNC, json!({"wait_ms": 1000}))));
        if got.contains(&json!(text)) {
            return;
        }
    }
    panic!("{text:?} did not arrive: {got:?}\n{}", to.stderr());
}

#[test]
fn entries_that_cannot_be_read_stop_and_spin_nothing_and_are_said_once() {
    let (redis, dir) = (RedisServer::start(), stage());
    let launch = |id: &str| Launch::new(dir.path(), id).redis(&redis).brisk();
    let (a, b) = (launch("a").start(), launch("b").start());
    settled(&[&a, &b], secs(20.0));
    a.subscribe(Value::Null, None);
    pass(&b, &a, "before");
    let broken = ["p", "ffffffffffffffffffffffffffffffff", "n", "b", "q", "1", "c", "1", "t", "5", "b", "[{"];
    for n in 0..5 {
        plant(&redis, "events", "event_seq", &["x", "y"]);
        plant(
            &redis,
            "events",
            "event_seq",
            &["event", "task_available", "at", "5", "node", "b", "task", "t", "kind", "a\u{1b}b"],
        );
        plant(&redis, "messages", "message_seq", &["x", "y"]);
        plant(&redis, "messages", "message_seq", &broken);
        pass(&b, &a, &format!("behind {n}"));
    }
    for far in ["9007199254740993-5", "18446744073709551614-7"] {
        redis.cli(&["XADD", &key("events"), far, "x", "y"]);
        redis.cli(&["XADD", &key("messages"), far, "x", "y"]);
        pass(&b, &a, far);
    }
    redis.cli(&["CONFIG", "RESETSTAT"]);
    hold(secs(3.0), "both readers have time to spin");
    let reads = redis.calls("xread");
    assert!(reads < 60, "{reads} reads in 3 s");
    let lines = a.stderr().lines().filter(|line| line.contains("cannot read")).count();
    assert!((1..=2).contains(&lines), "{lines} lines:\n{}", a.stderr());
    let c = launch("c").start();
    settled(&[&a, &b, &c], secs(20.0));
    let last =
        a.event("c joined", secs(10.0), |event| event["event"] == "cluster.node_joined" && event["node_id"] == "c");
    // Every number is an event, or stands in a gap that was told.
    let mut next = None;
    for event in a.notes().iter().map(|note| note.event().clone()) {
        let (from, to) = match (event["event"].as_str(), event["seq"].as_u64()) {
            (Some("cluster.gap"), _) => (event["from_seq"].as_u64().unwrap(), event["to_seq"].as_u64().unwrap()),
            (_, Some(seq)) => (seq, seq),
            _ => continue,
        };
        assert_eq!(from, next.unwrap_or(from), "{event}");
        next = Some(to + 1);
    }
    assert!(next > last.event()["seq"].as_u64());
}

#[test]
fn an_event_of_a_newer_version_reaches_those_who_ask_for_everything() {
    let (redis, dir) = (RedisServer::start(), stage());
    let a = Launch::new(dir.path(), "a").redis(&redis).brisk().start();
    settled(&[&a], secs(20.0));
    a.subscribe(Value::Null, None);
    let fields =
        ["event", "node_painted", "at", "1700000000123", "node", "a", "colour", "red", "seq", "no", "odd name", "x"];
    let seq = plant(&redis, "events", "event_seq", &fields);
    let note = a.event("the new event", secs(10.0), |event| event["event"] == "cluster.node_painted");
    assert_eq!(note.method, "cluster.node_painted");
    let expected = json!({"id": format!("{seq}-0"), "seq": seq, "event": "cluster.node_painted", "cluster": "openclaw",
        "at_ms": 1_700_000_000_123_u64, "node_id": "a", "colour": "red"});
    assert_eq!(*note.event(), expected);
    // A reason that only a newer version knows is no reason to hide the fact.
    plant(
        &redis,
        "events",
        "event_seq",
        &["event", "node_left", "at", "5", "node", "z", "incarnation", "7", "reason", "bored"],
    );
    let left = a.event("the departure", secs(10.0), |event| event["event"] == "cluster.node_left");
    assert_eq!((&left.event()["node_id"], &left.event()["reason"]), (&json!("z"), &json!("other")));
    // One who did not ask for everything is spared; and whoever comes later finds it in the stream.
    let after = format!("{}-0", seq - 1);
    let b = Launch::new(dir.path(), "b").redis(&redis).brisk().start();
    settled(&[&a, &b], secs(20.0));
    b.subscribe(json!(["cluster.node_left"]), Some(&after));
    b.event("the departure", secs(10.0), |event| event["event"] == "cluster.node_left");
    assert!(b.notes().iter().all(|note| note.event()["event"] == "cluster.node_left"), "{:?}", b.notes());
    b.subscribe(Value::Null, Some(&after));
    b.event("the new event", secs(10.0), |event| event["event"] == "cluster.node_painted");
}
