//! Draining: a node that takes no new work, and what still runs on it.
//!
//! Not here: what a draining node refuses (`crate::engine`, `crate::store`).

use crate::engine::node::handle;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The parameters of `distributed.drain`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DrainParams {
    /// Whether the node shall drain; false: take part in everything again.
    pub enabled: bool,
}

/// The result of `distributed.drain`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DrainResult {
    /// This node.
    pub node_id: String,
    /// Whether it drains now.
    pub draining: bool,
    /// How many tasks run on it.
    pub running_tasks: u64,
    /// How many leases are held under its id.
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
