//! `distributed.elect_leader`.
//!
//! 1. The call returns when the new leader is known, not before.
//!
//! Not here: the election (`crate::cluster`, `crate::engine`).

use crate::engine::node::handle::Node;
use crate::rpc::errors::{ErrorKind, RpcError};
use crate::rpc::method::{Call, Effect, Method};
use crate::rpc::wire::election::{ElectParams, ElectResult};

pub(super) struct ElectLeader;

impl Method for ElectLeader {
    const NAME: &'static str = "distributed.elect_leader";
    const SUMMARY: &'static str = "Show the leader, or hand leadership over";
    const DESCRIPTION: &'static str = "Without force, and if the leader is alive, the call returns that leader. \
        With force it hands leadership over to the candidate, or to this node, under a new term, after the old \
        leader has stopped leading.";
    const ERRORS: &'static [ErrorKind] =
        &[ErrorKind::NotJoined, ErrorKind::NodeIdInUse, ErrorKind::UnknownNode, ErrorKind::RedisUnavailable];
    const EFFECT: Effect = Effect::CHANGES;
    type Params = ElectParams;
    type Result = ElectResult;

    async fn handle<N: Node>(call: Call<N>, params: ElectParams) -> Result<ElectResult, RpcError> {
        let request = params.try_into()?;
        Ok(call.context.node.elect(request).await?.into())
    }
}
