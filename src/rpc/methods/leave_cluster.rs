//! `distributed.leave_cluster`.
//!
//! 1. The process keeps running; it can join again.
//!
//! Not here: what a leave does (`crate::engine`).

use crate::engine::node::handle::Node;
use crate::rpc::errors::{ErrorKind, RpcError};
use crate::rpc::method::{Call, Effect, Method};
use crate::rpc::wire::NoParams;
use crate::rpc::wire::membership::LeaveResult;

pub(super) struct LeaveCluster;

impl Method for LeaveCluster {
    const NAME: &'static str = "distributed.leave_cluster";
    const SUMMARY: &'static str = "Leave the cluster";
    const DESCRIPTION: &'static str = "Takes this node out of the cluster. A leader resigns first, so that \
        another node can take over at once.";
    const ERRORS: &'static [ErrorKind] = &[ErrorKind::NotJoined, ErrorKind::NodeIdInUse, ErrorKind::RedisUnavailable];
    const EFFECT: Effect = Effect::SETTLES;
    type Params = NoParams;
    type Result = LeaveResult;

    async fn handle<N: Node>(call: Call<N>, NoParams {}: NoParams) -> Result<LeaveResult, RpcError> {
        Ok(call.context.node.leave().await?.into())
    }
}
