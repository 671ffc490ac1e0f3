//! Joining and leaving.
//!
//! 1. The texts of a join are bounded here, because every member keeps a copy of them.
//!
//! Not here: who may hold which node id (`crate::engine`).

use super::node::{Node, nodes};
use crate::cluster::ids::NodeId;
pub use crate::cluster::node::Left as LeaveResult;
use crate::engine::node::handle;
use crate::rpc::errors::RpcError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The longest `name`, capability, label key or label value, in bytes.
pub const MAX_TEXT_BYTES: usize = 256;
/// The longest `endpoint`, in bytes.
pub const MAX_ENDPOINT_BYTES: usize = 2_048;
/// The most capabilities or labels.
pub const MAX_TAGS: usize = 256;

/// The parameters of `distributed.join_cluster`, in the order of their positions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JoinParams {
    /// The node id to join under. Default: the configured one, else a generated one. A member that joins under another id
    /// is renamed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,63}$"))]
    pub node_id: Option<String>,
    /// The display name of the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub name: Option<String>,
    /// Where the gateway can be reached; free text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub endpoint: Option<String>,
    /// What the node can do; tasks can require it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub capabilities: Option<Vec<String>>,
    /// Labels of the node; tasks can require them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
    /// Take over the node id even if another live process holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = false))]
    pub force: Option<bool>,
}

/// Checks a text of a member: its length, and that it contains no control character.
pub(crate) fn check_text(parameter: &str, what: &str, text: &str, max: usize) -> Result<(), RpcError> {
    if text.len() > max {
        let bytes = text.len();
        return Err(RpcError::parameter(parameter, format!("{what} has {bytes} bytes, at most {max} are allowed")));
    }
    if text.chars().any(char::is_control) {
        return Err(RpcError::parameter(parameter, format!("{what} holds a control character; use plain text")));
    }
    Ok(())
}

/// Checks a capability, or the key of a label.
pub(crate) fn check_tag(parameter: &str, what: &str, text: &str) -> Result<(), RpcError> {
    if text.is_empty() {
        return Err(RpcError::parameter(parameter, format!("{what} is empty; use 1 to {MAX_TEXT_BYTES} bytes")));
    }
    check_text(parameter, what, text, MAX_TEXT_BYTES)
}

/// Checks the number of capabilities or labels.
pub(crate) fn check_count(parameter: &str, count: usize) -> Result<(), RpcError> {
    if count <= MAX_TAGS {
        return Ok(());
    }
    Err(RpcError::parameter(parameter, format!("{count} were given, at most {MAX_TAGS} are allowed")))
}

impl TryFrom<JoinParams> for handle::JoinRequest {
    type Error = RpcError;

    fn try_from(params: JoinParams) -> Result<Self, RpcError> {
        let JoinParams { node_id, name, endpoint, capabilities, labels, force } = params;
        let node_id = node_id.map(NodeId::new).transpose().map_err(|e| RpcError::parameter("node_id", e))?;
        if let Some(name) = &name {
            check_text("name", "it", name, MAX_TEXT_BYTES)?;
        }
        if let Some(endpoint) = &endpoint {
            check_text("endpoint", "it", endpoint, MAX_ENDPOINT_BYTES)?;
        }
        if let Some(capabilities) = &capabilities {
            check_count("capabilities", capabilities.len())?;
            capabilities.iter().try_for_each(|text| check_tag("capabilities", "a capability", text))?;
        }
        if let Some(labels) = &labels {
            check_count("labels", labels.len())?;
            labels.keys().try_for_each(|key| check_tag("labels", "a key", key))?;
            labels.values().try_for_each(|value| check_text("labels", "a value", value, MAX_TEXT_BYTES))?;
        }
        let force = force.unwrap_or(false);
        Ok(Self { node_id, name, endpoint, capabilities, labels, force, ..Self::default() })
    }
}

/// The result of `distributed.join_cluster`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JoinResult {
    /// The name of the cluster.
    pub cluster: String,
    /// The id of this node.
    pub node_id: String,
    /// The incarnation of this node; it rises with every start of the process.
    pub incarnation: u64,
    /// When this node joined, in milliseconds of the Redis server's clock.
    pub joined_at_ms: u64,
    /// The node id of the leader; null: none is known.
    pub leader_id: Option<String>,
    /// The highest term that this node knows.
    pub term: u64,
    /// All members.
    pub nodes: Vec<Node>,
}

impl From<handle::Joined> for JoinResult {
    fn from(joined: handle::Joined) -> Self {
        Self {
            cluster: joined.cluster.into(),
            node_id: joined.node_id.into(),
            incarnation: joined.incarnation.0,
            joined_at_ms: joined.joined_at.0,
            leader_id: joined.leader_id.map(String::from),
            term: joined.term.0,
            nodes: nodes(joined.nodes),
        }
    }
}
