//! Draining: a node that takes no new work, and the work that still runs on it.
//!
//! Not here: what a draining node refuses (`crate::engine`, `crate::store`).

use crate::engine::node::handle;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The parameters of `distributed.drain`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DrainParams {
    /// True: stop taking new work. False: take part in everything again.
    pub enabled: bool,
}

/// The result of `distributed.drain`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DrainResult {
    /// The id of this node.
    pub node_id: String,
    /// Whether the node is draining now.
    pub draining: bool,
    /// How many tasks are running on this node.
    pub running_tasks: u64,
    /// How many leases are held under this node's id.
    pub leases: u64,
}

impl From<handle::Drained> for DrainResult {
    fn from(drained: handle::Drained) -> Self {
        Self {
            node_id: drained.node_id.into(),
            draining: drained.draining,
            running_tasks: drained.running_tasks,
            leases: drained.leases,
        }
    }
}
