//! A flood of messages that a member does not read: they wait at their sender before Redis is full, and all go on once they are read.

use serde_json::json;
use testkit::wait::secs;
use testkit::{RedisServer, Trio, eventually};

#[test]
fn a_flood_waits_at_its_sender_and_goes_on_once_it_is_read() {
    const MESSAGES: usize = 240;
    let redis = RedisServer::start();
    redis.cli(&["CONFIG", "SET", "maxmemory", "24mb"]);
    let trio = Trio::brisk(&redis);
    trio.settled(secs(20.0));
    let body = "z".repeat(100 << 10);
    let mut queued = 0;
    for batch in 0..MESSAGES / 8 {
        let messages: Vec<_> = (0..8).map(|n| json!({"id": format!("{batch}-{n}"), "payload": body})).collect();
        let sent = trio.nodes[0].ok("distributed.sync_messages", json!({"messages": messages, "limit": 0}));
        queued += sent["queued"].as_u64().unwrap_or(0);
    }
    assert!(queued > 0, "twice as much as Redis holds was taken");
    let used: u64 = redis.info("memory", "used_memory").and_then(|used| used.parse().ok()).expect("a number");
    assert!(used < 24 << 20, "{used} bytes used");
    for node in &trio.nodes {
        let state = node.state();
        assert_eq!(state["redis"]["status"], "ok", "{state}");
    }
    trio.settled(secs(20.0));
    let mut got = [0; 2];
    eventually("both others have everything, and the sender never receives", secs(60.0), || {
        for (node, count) in trio.nodes[1..].iter().zip(&mut got) {
            let read = node.ok("distributed.sync_messages", json!({"limit": 100}));
            *count += read["received"].as_array().map_or(0, Vec::len);
            assert!(read["gap"].is_null(), "nothing is lost: {}", read["gap"]);
        }
        if got == [MESSAGES; 2] { Ok(()) } else { Err(format!("{got:?}")) }
    });
    let leader = trio.settled(secs(20.0));
    let lease = trio.nodes[leader].ok("distributed.acquire_lease", json!({"name": "x", "ttl_ms": 500}));
    assert_eq!(lease["acquired"], true, "{lease}");
}
