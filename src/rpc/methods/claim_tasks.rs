//! `distributed.claim_tasks`.
//!
//! 1. Tasks that cannot be told to their caller are given back.
//!
//! Not here: which tasks a node may do (`crate::store`).

use super::{Call, Effect, Method};
use crate::engine::node::handle::Node;
use crate::rpc::errors::{ErrorKind, RpcError};
use crate::rpc::module::AfterWrite;
use crate::rpc::wire::task::{ClaimParams, ClaimResult};

pub(super) struct ClaimTasks;

impl Method for ClaimTasks {
    const NAME: &'static str = "distributed.claim_tasks";
    const SUMMARY: &'static str = "Take tasks to do";
    const DESCRIPTION: &'static str = "Gives the caller tasks that this node may do, each with a token. A task is the \
        caller's until expires_at_ms; extend_task moves that. A task whose node dies goes to another one. With wait_ms \
        the caller waits for the first task. A draining node gets none.";
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
