//! What the methods and the subscriptions of all connections share.
//!
//! Not here: what belongs to one call (`method.rs`) or one connection (`subscription.rs`).

use super::kept_state::KeptState;
use crate::cluster::ids::ClusterName;
use crate::engine::agents::Policy;
use crate::engine::host_watch::HostWatch;
use serde_json::Value;
use std::sync::Arc;

/// Facts about the process that the methods report and the node does not know.
#[derive(Debug, Clone)]
pub struct ServerInfo {
    /// The cluster's name, for events.
    pub cluster: ClusterName,
    /// How Redis is run: `standalone`, `sentinel`, `cluster` or `embedded`.
    pub redis_mode: String,
    /// The version of this program, for the OpenRPC document.
    pub version: String,
    /// Who may ask whose agent.
    pub agents: Policy,
}

/// What every handler can reach.
pub(crate) struct Context<N> {
    /// The node.
    pub(crate) node: Arc<N>,
    /// Facts about the process.
    pub(crate) info: ServerInfo,
    /// The state of the cluster as text.
    pub(crate) kept_state: KeptState,
    /// The watch over the process that started this one.
    pub(crate) host: HostWatch,
    /// Makes the OpenRPC document for a version of this program. A method answers with it, and it lists all methods.
    pub(crate) describe: fn(version: &str) -> Value,
}
