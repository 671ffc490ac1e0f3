//! `distributed.drain`.
//!
//! 1. Draining ends with the process: a new one takes part in everything.
//!
//! Not here: what a draining node refuses (`crate::engine`, `crate::store`).

use super::{Call, Effect, Method};
use crate::engine::node::handle::Node;
use crate::rpc::errors::{ErrorKind, RpcError};
use crate::rpc::wire::drain::{DrainParams, DrainResult};

pub(super) struct Drain;

impl Method for Drain {
    const NAME: &'static str = "distributed.drain";
    const SUMMARY: &'static str = "Take no new work, or take it again";
    const DESCRIPTION: &'static str = "A draining node gives leadership up, claims no tasks and acquires no leases; \
        what runs there goes on. The answer comes at once and counts what still runs; call it again to see it shrink.";
    const ERRORS: &'static [ErrorKind] = &[ErrorKind::NotJoined, ErrorKind::NodeIdInUse, ErrorKind::RedisUnavailable];
    const EFFECT: Effect = Effect::SETTLES;
    type Params = DrainParams;
    type Result = DrainResult;

    async fn handle<N: Node>(call: Call<N>, params: DrainParams) -> Result<DrainResult, RpcError> {
        Ok(call.context.node.drain(params.enabled).await?.into())
    }
}
