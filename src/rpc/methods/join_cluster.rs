//! `distributed.join_cluster`.
//!
//! 1. Parameters that are absent keep their configured or last value.
//!
//! Not here: who may hold a node id (`crate::engine`).

use crate::engine::node::handle::Node;
use crate::rpc::errors::{ErrorKind, RpcError};
use crate::rpc::method::{Call, Effect, Method};
use crate::rpc::wire::membership::{JoinParams, JoinResult};

pub(super) struct JoinCluster;

impl Method for JoinCluster {
    const NAME: &'static str = "distributed.join_cluster";
    const SUMMARY: &'static str = "Join the cluster";
    const DESCRIPTION: &'static str = "Makes this node a member. Joining again under the same node id updates \
        the metadata; under another node id it renames the node. A node id that another live process holds is \
        refused unless force is given.";
    const ERRORS: &'static [ErrorKind] = &[ErrorKind::NodeIdInUse, ErrorKind::RedisUnavailable];
    const EFFECT: Effect = Effect::SETTLES;
    type Params = JoinParams;
    type Result = JoinResult;

    async fn handle<N: Node>(call: Call<N>, params: JoinParams) -> Result<JoinResult, RpcError> {
        let request = params.try_into()?;
        Ok(call.context.node.join(request).await?.into())
    }
}
