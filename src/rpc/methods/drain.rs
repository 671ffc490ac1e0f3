//! `distributed.drain`.
//!
//! 1. Draining ends with the process: a restarted node takes part in everything again.
//!
//! Not here: what a draining node refuses (`crate::engine`, `crate::store`).

use crate::engine::node::handle::Node;
use crate::rpc::errors::{ErrorKind, RpcError};
use crate::rpc::method::{Call, Effect, Method};
use crate::rpc::wire::drain::{DrainParams, DrainResult};

pub(super) struct Drain;

impl Method for Drain {
    const NAME: &'static str = "distributed.drain";
    const SUMMARY: &'static str = "Start or stop draining this node";
    const DESCRIPTION: &'static str = "A draining node gives up leadership, claims no tasks and acquires no \
        leases; work that already runs continues. The call returns at once with the number of running tasks and \
        held leases; repeat it to see them decrease.";
    const ERRORS: &'static [ErrorKind] = &[ErrorKind::NotJoined, ErrorKind::NodeIdInUse, ErrorKind::RedisUnavailable];
    const EFFECT: Effect = Effect::SETTLES;
    type Params = DrainParams;
    type Result = DrainResult;

    async fn handle<N: Node>(call: Call<N>, params: DrainParams) -> Result<DrainResult, RpcError> {
        Ok(call.context.node.drain(params.enabled).await?.into())
    }
}
