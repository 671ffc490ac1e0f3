//! The state of the cluster as this node sees it.
//!
//! 1. While Redis is unavailable, the last view is shown and `redis.status` says so.
//!
//! Not here: how the view is kept current (`crate::engine`).

use super::node::{Node, Role, nodes};
use super::peer::Peer;
use crate::cluster::time::millis;
use crate::engine::node::handle;
use crate::store::redis::{Replica, Servers};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Number;
use std::collections::BTreeMap;

/// The parameters of `distributed.get_cluster_state`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StateParams {
    /// Ask Redis now instead of answering from the local view. Fails while Redis does not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = false))]
    pub fresh: Option<bool>,
    /// Also return the metrics of this node: heartbeats, messages, tasks, requests and calls to Redis.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = false))]
    pub metrics: Option<bool>,
}

/// Whether Redis works for this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RedisStatus {
    /// Redis accepted this node's last heartbeat and has room for more data.
    Ok,
    /// Redis does not answer, refuses writes, or is full; `trouble` says which.
    Unavailable,
}

/// The Redis that the cluster uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RedisInfo {
    /// Whether Redis works for this node.
    pub status: RedisStatus,
    /// What is wrong and what to do, in one sentence; absent when Redis works.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// The mode of Redis: `standalone`, `sentinel`, `cluster` or `embedded`.
    pub mode: String,
    /// The address of the primary; absent with one server, and while none was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary: Option<String>,
    /// The primary's replicas as of the last look, every tenth heartbeat.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replicas: Vec<RedisReplica>,
    /// How often this process saw the primary change.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failovers: u64,
}

/// A replica of the primary of Redis.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RedisReplica {
    /// Its address, as the primary knows it.
    pub address: String,
    /// Whether it follows the primary.
    pub online: bool,
    /// How many bytes it has not confirmed to the primary.
    pub lag_bytes: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // As serde calls it.
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl RedisInfo {
    fn new(status: RedisStatus, trouble: Option<String>, mode: &str, servers: Servers) -> Self {
        let replica = |replica: Replica| RedisReplica {
            address: replica.address,
            online: replica.online,
            lag_bytes: replica.lag_bytes,
        };
        Self {
            status,
            trouble,
            mode: mode.to_owned(),
            primary: servers.primary,
            replicas: servers.replicas.into_iter().map(replica).collect(),
            failovers: servers.failovers,
        }
    }
}

/// The result of `distributed.get_cluster_state`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClusterState {
    /// The name of the cluster.
    pub cluster: String,
    /// The id of this node; null while it is not a member.
    pub node_id: Option<String>,
    /// The role of this node, checked at the time of the answer.
    pub role: Role,
    /// The node id of the holder of the leader's lease; null: there is none.
    pub leader_id: Option<String>,
    /// The highest term that this node knows.
    pub term: u64,
    /// When the leader's lease expires, in milliseconds of the Redis server's clock; null: there is no leader.
    pub lease_expires_at_ms: Option<u64>,
    /// All members, by id.
    pub nodes: Vec<Node>,
    /// The Redis that the cluster uses.
    pub redis: RedisInfo,
    /// The time of the view, in milliseconds of the Redis server's clock.
    pub as_of_ms: u64,
    /// The age of the view by the node's own clock: the leader's lease has `lease_expires_at_ms - as_of_ms - age_ms` left.
    #[serde(default)]
    pub age_ms: u64,
    /// The other nodes as this one sees them by gossip; absent when gossip does not run. They say nothing about membership: that
    /// is in `nodes`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peers: Option<Vec<Peer>>,
    /// With `metrics`: the metrics of this node, under their Prometheus names including labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<BTreeMap<String, Number>>,
}

impl ClusterState {
    /// Converts a view and adds the Redis mode, which the node itself does not know.
    #[must_use]
    pub fn new(view: handle::StateView, redis_mode: &str) -> Self {
        let status = if view.redis_ok { RedisStatus::Ok } else { RedisStatus::Unavailable };
        Self {
            cluster: view.cluster.into(),
            node_id: view.node_id.map(String::from),
            role: view.role,
            leader_id: view.leader_id.map(String::from),
            term: view.term.0,
            lease_expires_at_ms: view.lease_expires_at.map(|at| at.0),
            nodes: nodes(view.nodes),
            redis: RedisInfo::new(status, view.redis_trouble, redis_mode, view.servers),
            as_of_ms: view.as_of.0,
            age_ms: millis(view.age),
            peers: view.peers.map(|peers| peers.into_iter().map(Peer::from).collect()),
            metrics: None,
        }
    }

    /// The time left of the leader's lease, in milliseconds; `None`: there is no leader.
    #[must_use]
    pub fn lease_left_ms(&self) -> Option<u64> {
        self.lease_expires_at_ms.map(|end| end.saturating_sub(self.as_of_ms.saturating_add(self.age_ms)))
    }
}
