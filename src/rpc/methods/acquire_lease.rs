//! `distributed.acquire_lease`.
//!
//! 1. A grant that cannot be told to its caller, who gave no request id, is given back.
//!
//! Not here: who is granted a lease (`crate::engine`).

use super::{Call, Effect, Method};
use crate::engine::node::handle::Node;
use crate::rpc::errors::{ErrorKind, RpcError};
use crate::rpc::module::AfterWrite;
use crate::rpc::wire::lease::{AcquireParams, AcquireResult};

pub(super) struct AcquireLease;

impl Method for AcquireLease {
    const NAME: &'static str = "distributed.acquire_lease";
    const SUMMARY: &'static str = "Take a lease, or wait for it";
    const DESCRIPTION: &'static str = "Grants a named lease to one caller in the cluster at a time. Its token is \
        higher than that of every grant before: pass it on with what the lease protects, so that a late write can be \
        refused. With wait_ms the caller waits in a queue in the order of arrival. The lease ends after ttl_ms unless \
        it is renewed, at once when it is released, and when the node's process dies. A repeated request_id gets the \
        first grant again. The lease named leader is the leadership.";
    const ERRORS: &'static [ErrorKind] =
        &[ErrorKind::NotJoined, ErrorKind::NodeIdInUse, ErrorKind::Overloaded, ErrorKind::RedisUnavailable];
    const EFFECT: Effect = Effect::ADDS;
    type Params = AcquireParams;
    type Result = AcquireResult;

    async fn handle<N: Node>(call: Call<N>, params: AcquireParams) -> Result<AcquireResult, RpcError> {
        let (result, handout) = AcquireResult::split(call.context.node.acquire(params.try_into()?).await?);
        if let Some(handout) = handout {
            call.after_write(AfterWrite::Handed(handout));
        }
        Ok(result)
    }
}
