//! Notes by gossip.
//!
//! Not here: their size and their way (`crate::engine`).

use super::membership::check_text;
use crate::cluster::gossip::MAX_TOPIC_BYTES;
use crate::cluster::ids::NodeId;
use crate::engine::node::handle::NotifyRequest;
use crate::rpc::errors::RpcError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The parameters of `distributed.notify`, in the order of their positions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NotifyParams {
    /// The node ids of the receivers. Default: all nodes that gossip reaches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub to: Option<Vec<String>>,
    /// What it is about, 1 to 128 bytes.
    #[schemars(length(min = 1, max = 128))]
    pub topic: String,
    /// Any JSON value of at most 1 KiB.
    pub payload: Value,
}

impl TryFrom<NotifyParams> for NotifyRequest {
    type Error = RpcError;

    fn try_from(params: NotifyParams) -> Result<Self, RpcError> {
        let NotifyParams { to, topic, payload } = params;
        if topic.is_empty() {
            return Err(RpcError::parameter("topic", format!("it is empty; use 1 to {MAX_TOPIC_BYTES} bytes")));
        }
        check_text("topic", "it", &topic, MAX_TOPIC_BYTES)?;
        if to.as_ref().is_some_and(Vec::is_empty) {
            return Err(RpcError::parameter("to", "it is empty; leave it out to reach all nodes"));
        }
        for id in to.iter().flatten() {
            NodeId::new(id.as_str()).map_err(|error| RpcError::parameter("to", error))?;
        }
        Ok(Self { to, topic, payload: payload.to_string() })
    }
}

/// The result of `distributed.notify`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NotifyResult {
    /// The nodes that it was sent to. Whether it arrived is not known.
    pub sent_to: Vec<String>,
}

impl From<Vec<NodeId>> for NotifyResult {
    fn from(sent: Vec<NodeId>) -> Self {
        Self { sent_to: sent.into_iter().map(String::from).collect() }
    }
}
