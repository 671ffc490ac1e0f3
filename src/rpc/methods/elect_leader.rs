//! `distributed.elect_leader`.
//!
//! 1. The answer comes when the leader is settled, not before.
//!
//! Not here: the election (`crate::cluster`, `crate::engine`).

use super::{Call, Effect, Method};
use crate::engine::node::handle::Node;
use crate::rpc::errors::{ErrorKind, RpcError};
use crate::rpc::wire::election::{ElectParams, ElectResult};

pub(super) struct ElectLeader;

impl Method for ElectLeader {
    const NAME: &'static str = "distributed.elect_leader";
    const SUMMARY: &'static str = "Name the leader, or hand leadership over";
    const DESCRIPTION: &'static str = "With a live leader and no force it answers with that leader. With force it \
        hands leadership over to the candidate, or to this node, under a new term, once the old leader has stopped \
        leading.";
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
