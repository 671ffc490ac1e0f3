//! A member: a node as the others see it.
//!
//! 1. `incarnation` names one life of the node; what is said of another life is not said of this one.
//!
//! Not here: when a member counts as dead (`presence.rs`, the store's scripts).

use crate::cluster::ids::{Incarnation, NodeId};
use crate::cluster::time::ServerTime;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a node tells about itself when it joins.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Metadata {
    /// A name for people; empty: the node id.
    #[serde(default)]
    pub name: String,
    /// Where the node's gateway can be reached, free text.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// What the node can do, in the order given.
    #[serde(default)]
    pub capabilities: Vec<String>,
    /// Free labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// The version of clawster that the node runs.
    #[serde(default)]
    pub version: String,
    /// Whether the node stands for leader.
    #[serde(default)]
    pub candidate: bool,
}

/// How a member shows that it lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PresenceKind {
    /// A process that holds a subscription; its end is seen within milliseconds.
    Connection,
    /// A one-shot heartbeat; only its deadline ends it.
    None,
}

/// The status that the store keeps; `suspect` is derived by the reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoredStatus {
    /// Takes part.
    Online,
    /// Takes part but takes no new work.
    Draining,
    /// Its deadline passed, or its process died.
    Offline,
    /// It said goodbye.
    Left,
}

/// What a client sees of a member's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// Beats as expected.
    Online,
    /// Beats, takes no new work.
    Draining,
    /// Missed one heartbeat.
    Suspect,
    /// Its deadline passed, or its process died.
    Offline,
    /// It said goodbye.
    Left,
}

/// One row of the member table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub node_id: NodeId,
    /// Which life of it.
    pub incarnation: Incarnation,
    /// What it said of itself.
    pub metadata: Metadata,
    /// As stored.
    pub status: StoredStatus,
    /// How it shows that it lives.
    pub presence: PresenceKind,
    /// When this life joined.
    pub joined_at: ServerTime,
    /// Its last beat, as far as known.
    pub last_seen: ServerTime,
}

impl Member {
    /// Whether the member takes part in the cluster now.
    #[must_use]
    pub fn is_live(&self) -> bool {
        matches!(self.status, StoredStatus::Online | StoredStatus::Draining)
    }

    /// The status that a client sees at `as_of`: suspect after one missed heartbeat (1.5 intervals without a beat).
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
