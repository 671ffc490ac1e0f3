//! `distributed.claim_tasks`.
//!
//! 1. If the answer cannot be written, its tasks are given back.
//!
//! Not here: which tasks a node is allowed to do (`crate::store`).

use crate::engine::node::handle::Node;
use crate::rpc::errors::{ErrorKind, RpcError};
use crate::rpc::method::{Call, Effect, Method};
use crate::rpc::outgoing::AfterWrite;
use crate::rpc::wire::task::{ClaimParams, ClaimResult};

pub(super) struct ClaimTasks;

impl Method for ClaimTasks {
    const NAME: &'static str = "distributed.claim_tasks";
    const SUMMARY: &'static str = "Claim tasks to work on";
    const DESCRIPTION: &'static str = "Returns tasks that this node is allowed to do, each with a token. The \
        caller has a task until expires_at_ms; extend_task moves that time. If the node dies, the task goes to \
        another node. With wait_ms the caller waits for the first task. A draining node gets none.";
    const ERRORS: &'static [ErrorKind] =
        &[ErrorKind::NotJoined, ErrorKind::NodeIdInUse, ErrorKind::Overloaded, ErrorKind::RedisUnavailable];
    const EFFECT: Effect = Effect::ADDS;
    type Params = ClaimParams;
    type Result = ClaimResult;

    async fn handle<N: Node>(call: Call<N>, params: ClaimParams) -> Result<ClaimResult, RpcError> {
        let (result, handout) = ClaimResult::split(call.context.node.claim(params.try_into()?).await?)?;
        if let Some(handout) = handout {
            call.after_write(AfterWrite::Handed(handout));
        }
        Ok(result)
    }
}
