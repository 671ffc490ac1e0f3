//! A member: a node as other nodes see it.
//!
//! 1. `incarnation` identifies one run of the node; a statement about one incarnation does not apply to another.
//!
//! Not here: when a member counts as dead (the store's scripts).

use crate::cluster::ids::{Incarnation, NodeId};
use crate::cluster::time::ServerTime;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a node states about itself when it joins.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Metadata {
    /// The display name; empty: the node id is used.
    #[serde(default)]
    pub name: String,
    /// Where the node's gateway can be reached; free text.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// What the node can do, in the given order; tasks can require it.
    #[serde(default)]
    pub capabilities: Vec<String>,
    /// Labels of the node; tasks can require them.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// The version of clawster that the node runs.
    #[serde(default)]
    pub version: String,
    /// Whether the node is a candidate for leader.
    #[serde(default)]
    pub candidate: bool,
}

/// How a member proves that it is alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PresenceKind {
    /// By a subscription that its process holds; its end is noticed within milliseconds.
    Connection,
    /// Not at all, as a one-shot heartbeat; only its deadline ends it.
    None,
}

/// The status in the store; `suspect` is derived by the reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoredStatus {
    /// It takes part.
    Online,
    /// It takes part, but takes no new work.
    Draining,
    /// Its heartbeat deadline passed, or its process died.
    Offline,
    /// It left.
    Left,
}

/// Whether a member is alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Its heartbeats arrive as expected.
    Online,
    /// Its heartbeats arrive; it takes no new work.
    Draining,
    /// It missed one heartbeat.
    Suspect,
    /// Its heartbeat deadline passed, or its process died.
    Offline,
    /// It left the cluster.
    Left,
}

/// One row of the member table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The node id.
    pub node_id: NodeId,
    /// The incarnation.
    pub incarnation: Incarnation,
    /// The node's statement about itself.
    pub metadata: Metadata,
    /// The status in the store.
    pub status: StoredStatus,
    /// How it proves that it is alive.
    pub presence: PresenceKind,
    /// When this incarnation joined.
    pub joined_at: ServerTime,
    /// When its last heartbeat arrived, as far as known.
    pub last_seen: ServerTime,
}

impl Member {
    /// Whether the member takes part in the cluster now.
    #[must_use]
    pub fn is_live(&self) -> bool {
        matches!(self.status, StoredStatus::Online | StoredStatus::Draining)
    }

    /// The status for clients at `as_of`: suspect after one missed heartbeat (1.5 intervals without one).
    #[must_use]
    pub fn status_at(&self, as_of: ServerTime, interval: std::time::Duration) -> Status {
        match self.status {
            StoredStatus::Offline => Status::Offline,
            StoredStatus::Left => Status::Left,
            _ if as_of.since(self.last_seen) > interval.mul_f64(1.5) => Status::Suspect,
            StoredStatus::Online => Status::Online,
            StoredStatus::Draining => Status::Draining,
        }
    }
}
