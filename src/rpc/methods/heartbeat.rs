//! `cluster.heartbeat`.
//!
//! 1. The answer describes the heartbeat that this call caused.
//!
//! Not here: the regular heartbeats (`crate::engine`).

use crate::engine::node::handle::Node;
use crate::rpc::errors::{ErrorKind, RpcError};
use crate::rpc::method::{Call, Effect, Method};
use crate::rpc::wire::NoParams;
use crate::rpc::wire::heartbeat::HeartbeatResult;

pub(super) struct Heartbeat;

impl Method for Heartbeat {
    const NAME: &'static str = "cluster.heartbeat";
    const SUMMARY: &'static str = "Send a heartbeat now";
    const DESCRIPTION: &'static str = "Makes the node send a heartbeat now, with the configured retries, and \
        returns what the node learned from the answer.";
    const ERRORS: &'static [ErrorKind] = &[ErrorKind::NotJoined, ErrorKind::NodeIdInUse, ErrorKind::RedisUnavailable];
    const EFFECT: Effect = Effect::ADDS;
    type Params = NoParams;
    type Result = HeartbeatResult;

    async fn handle<N: Node>(call: Call<N>, NoParams {}: NoParams) -> Result<HeartbeatResult, RpcError> {
        Ok(call.context.node.beat().await?.into())
    }
}
