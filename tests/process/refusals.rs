//! Redis answers, but takes no writes: it is full, read-only, or forgets its scripts. No call ends in a defect, nobody says
//! that all is well, and one outage is told once.

use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use testkit::cluster::stage;
use testkit::command::clawster;
use testkit::wait::secs;
use testkit::{Launch, RedisServer, Serve, Trio, eventually, hold};

/// Every method that writes, with parameters that are right.
fn writes() -> Vec<(&'static str, Value)> {
    vec![
        ("distributed.join_cluster", json!({"name": "other"})),
        ("distributed.elect_leader", json!({"force": true})),
        ("distributed.sync_messages", json!({"messages": [1], "limit": 0})),
        ("distributed.acquire_lease", json!({"name": "x", "ttl_ms": 1000})),
        ("distributed.run_once", json!({"key": "k", "ttl_ms": 1000})),
        ("distributed.submit_task", json!({"kind": "k", "payload": 1})),
        ("distributed.claim_tasks", json!({"kinds": ["k"]})),
        ("distributed.list_tasks", json!({})),
        ("distributed.drain", json!({"enabled": true})),
        ("distributed.drain", json!({"enabled": false})),
        ("distributed.get_history", json!({})),
    ]
}

/// Calls every method; each is answered or may be tried again, and says why.
fn no_defect(node: &Serve, why: &str) -> usize {
    let mut refused = 0;
    for (method, params) in writes() {
        if let Err(error) = node.call(method, params) {
            assert_eq!(error.code, -32002, "{method}: {error:?}");
            assert!(error.data["retryable"] == true, "{method}: {error:?}");
            assert!(error.message.contains(why), "{method}: {error:?}");
            refused += 1;
        }
    }
    refused
}

fn leads(node: &Serve, what: &str) {
    node.until(what, secs(20.0), |state| state["role"] == "leader" && state["redis"]["status"] == "ok");
}

fn named(node: &Serve, event: &str) -> Vec<Value> {
    node.notes().iter().map(|note| note.event().clone()).filter(|seen| seen["event"] == event).collect()
}

#[test]
fn a_full_redis_is_no_defect_and_said_to_be_full() {
    let redis = RedisServer::start();
    let home = stage();
    let address = format!("127.0.0.1:{}", testkit::redis_server::free_port());
    let launch = Launch::new(home.path(), "a").redis(&redis).brisk().env("CLAWSTER__METRICS__LISTEN", &address);
    let node = launch.start();
    leads(&node, "it leads");
    node.subscribe(json!(["cluster.*"]), None);
    redis.cli(&["CONFIG", "SET", "maxmemory", "100000"]);
    let state = node.until("it says that Redis is full", secs(20.0), |state| state["redis"]["status"] != "ok");
    assert!(state["redis"]["trouble"].as_str().unwrap_or_default().contains("full"), "{state}");
    assert!(no_defect(&node, "out of memory") >= 3, "leases, keys and tasks are refused");
    let check = clawster(&launch, &["status", "--check"]).expect(3);
    assert!(check.stdout.contains("full"), "{}", check.stdout);
    let doctor = clawster(&launch, &["doctor"]).expect(1);
    assert!(doctor.stdout.contains("failed") && !doctor.stdout.contains("No failures"), "{}", doctor.stdout);
    assert_eq!(http(&address, "/readyz").0, 503, "not ready");
    assert!(http(&address, "/metrics").1.contains("\nclawster_redis_up 0\n"));
    // The cluster itself needs little memory, and goes on.
    let still = node.state();
    assert_eq!(still["leader_id"], "a", "{still}");
    assert!(still["lease_expires_at_ms"].as_u64() > still["as_of_ms"].as_u64(), "{still}");
    redis.cli(&["CONFIG", "SET", "maxmemory", "0"]);
    leads(&node, "it leads and all is well");
    eventually("the message that waited is sent", secs(20.0), || {
        match node.ok("distributed.sync_messages", json!({"messages": [2], "limit": 0}))["queued"].as_u64() {
            Some(0) => Ok(()),
            other => Err(format!("{other:?} queued")),
        }
    });
    eventually("it is well again", secs(20.0), || match named(&node, "cluster.recovered").len() {
        1 => Ok(()),
        other => Err(format!("{other} recoveries")),
    });
    let degraded = named(&node, "cluster.degraded");
    assert_eq!(degraded.len(), 1, "{degraded:?}");
    assert_eq!(degraded[0]["reason"], "full", "{degraded:?}");
}

fn http(address: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).expect("the node serves HTTP");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").expect("asks");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer");
    let code = text.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
    (code, text)
}

#[test]
fn a_redis_that_is_read_only_for_a_while_is_one_outage() {
    let redis = RedisServer::start();
    let trio = Trio::brisk(&redis);
    trio.settled(secs(20.0));
    redis.cli(&["REPLICAOF", "127.0.0.1", "1"]);
    for node in &trio.nodes {
        let state = node.until("it says so", secs(20.0), |state| state["redis"]["status"] != "ok");
        assert!(state["redis"]["trouble"].as_str().unwrap_or_default().contains("read-only"), "{state}");
    }
    assert!(no_defect(&trio.nodes[0], "read-only") > 5);
    hold(secs(3.0), "several beats are refused while reads are answered");
    let stale = trio.nodes[1].state();
    assert!(stale["age_ms"].as_u64() > Some(1_000), "an old view says how old it is: {stale}");
    redis.cli(&["REPLICAOF", "NO", "ONE"]);
    trio.settled(secs(20.0));
    for node in &trio.nodes {
        node.until("all is well", secs(20.0), |state| state["redis"]["status"] == "ok");
        eventually("it was told", secs(20.0), || match named(node, "cluster.recovered").len() {
            0 => Err("no recovery"),
            _ => Ok(()),
        });
        let (lost, back) = (named(node, "cluster.degraded"), named(node, "cluster.recovered"));
        assert_eq!((lost.len(), back.len()), (1, 1), "{lost:?} {back:?}");
        assert_eq!(lost[0]["reason"], "refuses_writes", "{lost:?}");
        assert_eq!(node.stderr().matches("Redis accepts heartbeats again").count(), 1, "{}", node.stderr());
        assert!(named(node, "cluster.node_left").is_empty());
    }
}

#[test]
fn a_redis_that_forgets_its_scripts_all_the_time_serves_every_call() {
    let redis = RedisServer::start();
    let home = stage();
    let node = Launch::new(home.path(), "a").redis(&redis).brisk().start();
    leads(&node, "it leads");
    let port = redis.port();
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let forgetting = std::thread::spawn(move || {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("Redis listens");
        let mut answer = [0; 64];
        let mut flushes = 0;
        while !stopped.load(Ordering::Acquire) {
            stream.write_all(b"*2\r\n$6\r\nSCRIPT\r\n$5\r\nFLUSH\r\n").expect("asks");
            assert!(stream.read(&mut answer).expect("an answer") > 0);
            flushes += 1;
        }
        flushes
    });
    let mut refused = Vec::new();
    for round in 0..100 {
        let lease = json!({"name": format!("x{round}"), "ttl_ms": 1000});
        refused.extend(node.call("distributed.acquire_lease", lease).err());
        refused.extend(node.call("distributed.submit_task", json!({"kind": "k", "payload": round})).err());
    }
    stop.store(true, Ordering::Release);
    assert!(forgetting.join().expect("it ends") > 100, "the scripts were forgotten again and again");
    assert!(refused.is_empty(), "{refused:?}");
}
