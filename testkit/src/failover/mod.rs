//! Several real Redis servers, one of which is the primary: three sentinels with a primary and its replicas, and a Redis Cluster.
//!
//! 1. Ready means that a failover would succeed now: replicas are in step, and sentinels or cluster nodes know each other.
//! 2. Who is the primary is asked of the servers, never remembered.
//!
//! Not here: what the nodes of clawster make of it (`tests/process`).

mod cluster;
mod sentinels;

pub use cluster::RedisCluster;
pub use sentinels::{MASTER, SentinelSet};

use crate::redis_server::RedisServer;
use crate::resp::Resp;
use crate::wait::{eventually, secs};
use std::collections::BTreeMap;
use std::time::Duration;

/// A field of what a server says of its replication; empty when it does not say so. Sentinels close all connections of a server that they
/// give another role.
fn replication(server: &RedisServer, field: &str) -> String {
    let said = server.quick(&["INFO", "replication"]).unwrap_or_default();
    let value = said.lines().find_map(|line| line.trim().strip_prefix(field)?.strip_prefix(':'));
    value.unwrap_or_default().to_owned()
}

/// Waits until a replica has all data of its primary.
#[track_caller]
fn in_step(replica: &RedisServer) {
    eventually("the replica is in step", secs(60.0), || match replication(replica, "master_link_status") {
        said if said == "up" => Ok(()),
        said => Err(said),
    });
}

fn with_replicas_needed(needed: u32) -> Vec<String> {
    vec![
        format!("min-replicas-to-write {needed}"),
        "min-replicas-max-lag 2".into(),
        "repl-diskless-sync-delay 0".into(),
    ]
}

fn address(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

/// The ports in the form of `redis.nodes`.
fn list(ports: impl Iterator<Item = u16>) -> String {
    let nodes: Vec<String> = ports.map(address).collect();
    serde_json::to_string(&nodes).unwrap()
}

/// Pairs of ports in the form of `redis.announce`.
fn map(pairs: impl Iterator<Item = (u16, u16)>) -> String {
    let pairs: BTreeMap<String, String> = pairs.map(|(from, to)| (address(from), address(to))).collect();
    serde_json::to_string(&pairs).unwrap()
}

impl RedisServer {
    /// As `try_cli`, for servers without a login, and waiting at most 300 ms.
    pub fn quick(&self, args: &[&str]) -> std::io::Result<String> {
        let mut connection = Resp::connect(self.port())?;
        connection.within(Duration::from_millis(300))?;
        connection.call(args)
    }
}
