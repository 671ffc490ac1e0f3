//! The state of the cluster as this node sees it.
//!
//! 1. While Redis is away the last view is shown, and `redis.status` says so.
//!
//! Not here: how the view is kept current (`crate::engine`).

use super::node::{Node, Role, nodes};
use crate::cluster::time::millis;
use crate::engine::node::handle;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Number;
use std::collections::BTreeMap;

/// The parameters of `distributed.get_cluster_state`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StateParams {
    /// Ask Redis now instead of showing the local view.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = false))]
    pub fresh: Option<bool>,
    /// Also return the numbers that the node counts: heartbeats, messages, tasks, requests and calls to Redis.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = false))]
    pub metrics: Option<bool>,
}

/// Whether Redis works for this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RedisStatus {
    /// It took this node's last heartbeat and has room for more.
    Ok,
    /// It does not answer, refuses writes, or is full; `trouble` says which.
    Unavailable,
}

/// The Redis behind the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RedisInfo {
    /// Whether it works.
    pub status: RedisStatus,
    /// What is wrong and what to do, in one sentence; absent when all is well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// How it is run: `standalone`, `sentinel`, `cluster` or `embedded`.
    pub mode: String,
}

/// The result of `distributed.get_cluster_state`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClusterState {
    /// The cluster's name.
    pub cluster: String,
    /// This node's id; null while it is no member.
    pub node_id: Option<String>,
    /// This node's part, checked at this instant.
    pub role: Role,
    /// Who holds the leader's lease.
    pub leader_id: Option<String>,
    /// The highest term known.
    pub term: u64,
    /// When that lease ends, in milliseconds of the Redis server's clock.
    pub lease_expires_at_ms: Option<u64>,
    /// All members, by id.
    pub nodes: Vec<Node>,
    /// The Redis behind the cluster.
    pub redis: RedisInfo,
    /// When the view was true, in milliseconds of the Redis server's clock.
    pub as_of_ms: u64,
    /// How long ago that was, by the node's own clock: the leader's lease has `lease_expires_at_ms - as_of_ms - age_ms` left.
    #[serde(default)]
    pub age_ms: u64,
    /// With `metrics`: the node's numbers, by the names that Prometheus reads them under, labels included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<BTreeMap<String, Number>>,
}

impl ClusterState {
    /// Adds what the node does not know of itself, the way Redis is run.
    #[must_use]
    pub fn new(view: handle::StateView, redis_mode: &str) -> Self {
        let status = if view.redis_ok { RedisStatus::Ok } else { RedisStatus::Unavailable };
        Self {
            cluster: view.cluster.into(),
            node_id: view.node_id.map(String::from),
            role: view.role.into(),
            leader_id: view.leader_id.map(String::from),
            term: view.term.0,
            lease_expires_at_ms: view.lease_expires_at.map(|at| at.0),
            nodes: nodes(view.nodes),
            redis: RedisInfo { status, trouble: view.redis_trouble, mode: redis_mode.to_owned() },
            as_of_ms: view.as_of.0,
            age_ms: millis(view.age),
            metrics: None,
        }
    }

    /// How much is left of the leader's lease, in milliseconds; `None` when nobody holds it.
    #[must_use]
    pub fn lease_left_ms(&self) -> Option<u64> {
        self.lease_expires_at_ms.map(|end| end.saturating_sub(self.as_of_ms.saturating_add(self.age_ms)))
    }
}
