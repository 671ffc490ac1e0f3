//! A member of the cluster as clients see it.
//!
//! 1. `status` and `role` are those of the time that the surrounding answer states.
//!
//! Not here: how status is derived (`crate::cluster::members::member`).

pub use crate::cluster::members::member::Status;
use crate::engine::node::handle;
pub use crate::engine::node::handle::Role;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A member of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Node {
    /// The stable id of the node.
    pub node_id: String,
    /// The display name of the node; its id if no name was given.
    pub name: String,
    /// Whether the node is alive.
    pub status: Status,
    /// The role of the node.
    pub role: Role,
    /// The incarnation of the node; it rises with every start of the process.
    pub incarnation: u64,
    /// Where the node's gateway can be reached; free text.
    pub endpoint: Option<String>,
    /// What the node can do; tasks can require it.
    pub capabilities: Vec<String>,
    /// Labels of the node; tasks can require them.
    pub labels: BTreeMap<String, String>,
    /// The version of clawster that the node runs.
    pub version: String,
    /// When this incarnation joined, in milliseconds of the Redis server's clock.
    pub joined_at_ms: u64,
    /// When its last heartbeat arrived, in milliseconds of the Redis server's clock.
    pub last_seen_ms: u64,
}

impl From<handle::NodeView> for Node {
    fn from(view: handle::NodeView) -> Self {
        let handle::NodeView { member, status, role } = view;
        let node_id = String::from(member.node_id);
        let name = if member.metadata.name.is_empty() { node_id.clone() } else { member.metadata.name };
        Self {
            node_id,
            name,
            status,
            role,
            incarnation: member.incarnation.0,
            endpoint: member.metadata.endpoint,
            capabilities: member.metadata.capabilities,
            labels: member.metadata.labels,
            version: member.metadata.version,
            joined_at_ms: member.joined_at.0,
            last_seen_ms: member.last_seen.0,
        }
    }
}

/// Converts a list of members.
pub(crate) fn nodes(views: Vec<handle::NodeView>) -> Vec<Node> {
    views.into_iter().map(Node::from).collect()
}
