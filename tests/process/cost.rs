//! What a heartbeat costs the server, as the server itself counts it.

use testkit::wait::secs;
use testkit::{RedisServer, Trio, hold};

/// Scripts run and socket reads on the server, in the time of a hold, by three nodes.
fn counted(redis: &RedisServer) -> (u64, u64) {
    let reads = redis.info("stats", "total_reads_processed").map_or(0, |text| text.parse().unwrap());
    (redis.calls("evalsha"), reads)
}

#[test]
fn a_heartbeat_is_one_round_trip_per_node_and_interval() {
    // Two clusters that differ in their interval only: what else they run against the clock cancels out.
    let (often, seldom) = (RedisServer::start(), RedisServer::start());
    let with =
        |redis: &RedisServer, interval: f64| Trio::with(|launch| launch.redis(redis).timing(interval, 16.0, 16.0));
    let (fast, slow) = (with(&often, 0.25), with(&seldom, 5.0));
    let before = (counted(&often), counted(&seldom));
    hold(secs(10.0), "heartbeats are counted for 10 s");
    let after = (counted(&often), counted(&seldom));
    let scripts = (after.0.0 - before.0.0) as f64 - (after.1.0 - before.1.0) as f64;
    let reads = (after.0.1 - before.0.1) as f64 - (after.1.1 - before.1.1) as f64;
    // Three nodes, 40 heartbeats each against 2 each.
    let due = 3.0 * (40.0 - 2.0);
    println!("{scripts} scripts and {reads} reads for {due} heartbeats");
    assert!((scripts - due).abs() <= due * 0.15, "{scripts} scripts for {due} heartbeats");
    assert!((reads - due).abs() <= due * 0.3, "{reads} reads for {due} heartbeats: more than one round trip each");
    drop((fast, slow));
}
