//! `redis.wait_messages`: a message counts as sent once the replicas have it, not once some connection to them stands.

use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::cluster::sent;
use testkit::wait::secs;
use testkit::{Launch, RedisOptions, RedisServer, Serve, eventually, hold, stamp};

/// A server with one replica in step, and a node whose grants and messages count once the replica has them.
fn stage(timing: impl FnOnce(Launch) -> Launch) -> (Serve, RedisServer, RedisServer, TempDir) {
    let redis = RedisServer::start();
    let options = RedisOptions { replicaof: Some(redis.port()), attached: true, ..RedisOptions::default() };
    let replica = RedisServer::with(options);
    eventually("the replica is in step", secs(20.0), || {
        let up = replica.info("replication", "master_link_status");
        if up.as_deref() == Some("up") { Ok(()) } else { Err(format!("{up:?}")) }
    });
    let dir = testkit::cluster::stage();
    let launch = timing(Launch::new(dir.path(), "a").redis(&redis)).env("CLAWSTER__REDIS__WAIT_REPLICAS", "all");
    let node = launch.env("CLAWSTER__REDIS__REPLICAS", "1").env("CLAWSTER__REDIS__WAIT_MESSAGES", "true").start();
    node.until("it leads", secs(20.0), |state| state["role"] == "leader");
    (node, redis, replica, dir)
}

/// WAIT asks for what its own connection has written. On a new one that has written nothing, a replica that hangs would do.
#[test]
fn a_hung_replica_confirms_nothing_on_a_new_connection_either() {
    // Seldom heartbeats: any other write on a new connection would do instead.
    let (node, redis, replica, _dir) = stage(|launch| launch.timing(4.0, 12.0, 12.0));
    node.subscribe(json!(["cluster.sync_complete"]), None);
    replica.pause();
    node.ok("distributed.sync_messages", json!({"messages": [{"id": "m", "payload": 1}], "limit": 0}));
    let end = stamp() + secs(5.0);
    while stamp() < end {
        assert_eq!(sent(&node), 0, "no replica has it");
        redis.cli(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
        hold(secs(1.0), "for a call on a new connection");
    }
    replica.resume();
    eventually("the replica has it", secs(20.0), || match sent(&node) {
        1 => Ok(()),
        sent => Err(sent),
    });
}

#[test]
fn a_full_redis_still_confirms_the_leader() {
    let (node, redis, _replica, _dir) = stage(Launch::brisk);
    assert_eq!(redis.cli(&["CONFIG", "SET", "maxmemory", "1"]), "OK");
    let before = node.state();
    let ends = |state: &Value| state["lease_expires_at_ms"].as_u64().unwrap_or_default();
    eventually("renewals count that were made while Redis was full", secs(30.0), || {
        let state = node.state();
        let same = state["role"] == "leader" && state["term"] == before["term"];
        if same && ends(&state) > ends(&before) + 6_000 { Ok(()) } else { Err(state) }
    });
}
