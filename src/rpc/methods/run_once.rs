//! `distributed.run_once`.
//!
//! 1. One answer for each key, in their order.
//!
//! Not here: who was first (`crate::store`).

use super::{Call, Effect, Method};
use crate::engine::node::handle::Node;
use crate::rpc::errors::{ErrorKind, RpcError};
use crate::rpc::wire::once::{OnceParams, OnceResult};

pub(super) struct RunOnce;

impl Method for RunOnce {
    const NAME: &'static str = "distributed.run_once";
    const SUMMARY: &'static str = "Be the only one who does something";
    const DESCRIPTION: &'static str = "Grants a key to exactly one caller in the cluster until ttl_ms has passed. \
        With keys instead of key each of them is granted for itself. A request_id repeated by the same node is granted \
        what it was granted before.";
    const ERRORS: &'static [ErrorKind] =
        &[ErrorKind::NotJoined, ErrorKind::NodeIdInUse, ErrorKind::Overloaded, ErrorKind::RedisUnavailable];
    const EFFECT: Effect = Effect::ADDS;
    type Params = OnceParams;
    type Result = OnceResult;

    async fn handle<N: Node>(call: Call<N>, params: OnceParams) -> Result<OnceResult, RpcError> {
        let (request, one) = params.request()?;
        let answers = call.context.node.run_once(request).await?;
        OnceResult::new(answers, one).ok_or_else(|| {
            RpcError::new(ErrorKind::InternalError, "internal error: a key was not answered; see the log")
        })
    }
}
