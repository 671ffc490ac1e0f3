//! Asking who leads, and changing the leader.
//!
//! 1. A candidate that is not a valid node id names no member, so it is answered as an unknown node.
//!
//! Not here: the election itself (`crate::cluster`).

use crate::cluster::ids::NodeId;
pub use crate::cluster::node::Elected as ElectResult;
use crate::engine::node::handle;
use crate::rpc::errors::RpcError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The parameters of `distributed.elect_leader`, in the order of their positions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ElectParams {
    /// The live member to become leader. Default: this node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidate: Option<String>,
    /// Hand leadership over even if the current leader is alive. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = false))]
    pub force: Option<bool>,
}

impl TryFrom<ElectParams> for handle::ElectRequest {
    type Error = RpcError;

    fn try_from(params: ElectParams) -> Result<Self, RpcError> {
        let candidate = match params.candidate {
            Some(text) => Some(NodeId::new(text.as_str()).map_err(|_| RpcError::unknown_node(&text))?),
            None => None,
        };
        Ok(Self { candidate, force: params.force.unwrap_or(false) })
    }
}
