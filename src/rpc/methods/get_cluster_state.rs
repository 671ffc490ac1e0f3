//! `distributed.get_cluster_state`.
//!
//! 1. The local view is returned even while Redis is unavailable or the node is not a member.
//!
//! Not here: how the view is kept current (`crate::engine`).

use crate::engine::node::handle::Node;
use crate::rpc::errors::{ErrorKind, RpcError};
use crate::rpc::method::{Call, Effect, Method};
use crate::rpc::wire::state::{ClusterState, StateParams};

pub(super) struct GetClusterState;

impl Method for GetClusterState {
    const NAME: &'static str = "distributed.get_cluster_state";
    const SUMMARY: &'static str = "Show the members, the leader and this node's role";
    const DESCRIPTION: &'static str = "Answers from the local view, which is at most one heartbeat old. With \
        fresh it asks Redis, and fails while Redis does not answer. With metrics the answer includes the metrics \
        of this node.";
    const ERRORS: &'static [ErrorKind] = &[ErrorKind::RedisUnavailable];
    const EFFECT: Effect = Effect::READS;
    type Params = StateParams;
    type Result = ClusterState;

    async fn handle<N: Node>(call: Call<N>, params: StateParams) -> Result<ClusterState, RpcError> {
        let view = call.context.node.state(params.fresh.unwrap_or(false)).await?;
        let mut state = ClusterState::new(view, &call.context.info.redis_mode);
        if params.metrics == Some(true) {
            state.metrics = Some(call.context.node.samples().await);
        }
        Ok(state)
    }
}
