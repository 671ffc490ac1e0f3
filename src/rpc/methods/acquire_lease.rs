//! `distributed.acquire_lease`.
//!
//! 1. If the answer to a caller without request id cannot be written, its grant is taken back.
//!
//! Not here: granting leases (`crate::engine`).

use crate::engine::node::handle::Node;
use crate::rpc::errors::{ErrorKind, RpcError};
use crate::rpc::method::{Call, Effect, Method};
use crate::rpc::outgoing::AfterWrite;
use crate::rpc::wire::lease::{AcquireParams, AcquireResult};

pub(super) struct AcquireLease;

impl Method for AcquireLease {
    const NAME: &'static str = "distributed.acquire_lease";
    const SUMMARY: &'static str = "Acquire a lease, or wait for it";
    const DESCRIPTION: &'static str = "Grants a named lease to one caller in the cluster at a time. Each grant \
        has a higher token than all grants before it: pass the token to the system that the lease protects, so \
        that it can refuse late writes. With wait_ms the caller waits in a queue, first come, first served. The \
        lease ends when ttl_ms passes without a renewal, when it is released, and when the process of the node \
        dies. A repeated request_id returns the first grant again. The lease named leader is the leadership of \
        the cluster.";
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
