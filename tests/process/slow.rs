//! Large messages behind limits of the server, and on slow links: less is asked for at a time, and all of it arrives.
//!
//! Not here: links that break (`messages.rs`).

use serde_json::{Value, json};
use std::time::Duration;
use testkit::cluster::{settled, stage};
use testkit::proxy::Mode;
use testkit::wait::{eventually, secs};
use testkit::{Launch, Proxy, RedisOptions, RedisServer, Serve, stamp};

const SYNC: &str = "distributed.sync_messages";

fn large(n: usize) -> Value {
    json!({"id": format!("m{n}"), "payload": "y".repeat(1_000_000)})
}

fn send(node: &Serve, count: usize) {
    for n in 0..count {
        let sent = node.ok(SYNC, json!({"messages": [large(n)], "limit": 0}));
        assert_eq!(sent["published"], 1, "{sent}");
    }
}

/// Receives until all have come, in their order, with nothing lost.
#[track_caller]
fn receive(node: &Serve, count: usize, within: Duration) {
    let (mut got, end) = (Vec::new(), stamp() + within);
    while got.len() < count && stamp() < end {
        let answer = node.ok(SYNC, json!({"wait_ms": 2000}));
        assert_eq!(answer["gap"], Value::Null);
        let ids =
            answer["received"].as_array().unwrap().iter().map(|message| message["id"].as_str().unwrap().to_owned());
        got.extend(ids);
    }
    assert_eq!(got, (0..count).map(|n| format!("m{n}")).collect::<Vec<_>>(), "{}", node.stderr());
}

#[test]
fn a_member_that_was_away_reads_all_behind_a_small_output_buffer() {
    let extra = vec!["client-output-buffer-limit normal 3mb 0 0".to_owned()];
    let redis = RedisServer::with(RedisOptions { extra, ..RedisOptions::default() });
    let dir = stage();
    let launch = |id: &str| Launch::new(dir.path(), id).redis(&redis).brisk();
    let (a, b) = (launch("a").start(), launch("b").start());
    settled(&[&a, &b], secs(20.0));
    b.kill9();
    send(&a, 12);
    let b = launch("b").start();
    b.subscribe(Value::Null, None);
    // Events do not wait for messages that do not come.
    let c = launch("c").start();
    b.event("c joined", secs(10.0), |event| event["event"] == "cluster.node_joined" && event["node_id"] == "c");
    receive(&b, 12, secs(40.0));
    let said = b.stderr().lines().filter(|line| line.contains("client-output-buffer-limit")).count();
    assert!((1..=2).contains(&said), "{said} lines:\n{}", b.stderr());
    settled(&[&a, &b, &c], secs(20.0));
}

#[test]
fn a_member_on_a_slow_link_reads_all() {
    let (redis, dir) = (RedisServer::start(), stage());
    let proxy = Proxy::start(redis.port());
    let a = Launch::new(dir.path(), "a").redis(&redis).brisk().start();
    let far = Launch::new(dir.path(), "b").port(proxy.port()).brisk();
    let b = far.start();
    settled(&[&a, &b], secs(20.0));
    b.kill9();
    send(&a, 10);
    proxy.set(Mode::Slow(900_000));
    let b = far.start();
    receive(&b, 10, secs(90.0));
    b.until("it is a member all the time", secs(10.0), |state| state["redis"]["status"] == "ok");
}

#[test]
fn large_messages_are_sent_over_a_slow_link_and_heartbeats_go_on() {
    let (redis, dir) = (RedisServer::start(), stage());
    let proxy = Proxy::start(redis.port());
    let a = Launch::new(dir.path(), "a").port(proxy.port()).brisk().start();
    let b = Launch::new(dir.path(), "b").redis(&redis).brisk().start();
    settled(&[&a, &b], secs(20.0));
    proxy.set(Mode::Slow(400_000));
    let messages: Vec<Value> = (0..3).map(large).collect();
    a.subscribe(Value::Null, None);
    let answer = a.ok(SYNC, json!({"messages": messages, "limit": 0}));
    assert_eq!(answer["published"].as_u64().unwrap() + answer["queued"].as_u64().unwrap(), 3, "{answer}");
    receive(&b, 3, secs(60.0));
    let degraded = a.notes().iter().filter(|note| note.event()["event"] == "cluster.degraded").count();
    assert_eq!(degraded, 0, "{}", a.stderr());
    eventually("a knows that they are sent", secs(20.0), || {
        let again = a.ok(SYNC, json!({"messages": [large(2)], "limit": 0}));
        if again["duplicates"] == 1 && again["entry_ids"][0].is_string() { Ok(()) } else { Err(again.to_string()) }
    });
}
