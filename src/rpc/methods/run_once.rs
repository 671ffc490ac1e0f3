//! `distributed.run_once`.
//!
//! 1. There is one answer for each key, in the order of the keys.
//!
//! Not here: who is granted a key (`crate::store`).

use crate::engine::node::handle::Node;
use crate::rpc::errors::{ErrorKind, RpcError};
use crate::rpc::method::{Call, Effect, Method};
use crate::rpc::wire::once::{OnceParams, OnceResult};

pub(super) struct RunOnce;

impl Method for RunOnce {
    const NAME: &'static str = "distributed.run_once";
    const SUMMARY: &'static str = "Do something once in the cluster";
    const DESCRIPTION: &'static str = "Grants a key to exactly one caller in the cluster until ttl_ms has passed. \
        With keys instead of key, each key is granted on its own. A repeated request_id of the same node gets its \
        grants again.";
    const ERRORS: &'static [ErrorKind] =
        &[ErrorKind::NotJoined, ErrorKind::NodeIdInUse, ErrorKind::Overloaded, ErrorKind::RedisUnavailable];
    const EFFECT: Effect = Effect::ADDS;
    type Params = OnceParams;
    type Result = OnceResult;

    async fn handle<N: Node>(call: Call<N>, params: OnceParams) -> Result<OnceResult, RpcError> {
        let (request, one) = params.request()?;
        let answers = call.context.node.run_once(request).await?;
        OnceResult::new(answers, one).ok_or_else(|| {
            RpcError::new(ErrorKind::InternalError, "internal error: Redis returned no answer for a key; see the log")
        })
    }
}
