//! `distributed.extend_task`.
//!
//! 1. Only the token of the latest claim can extend the task.
//!
//! Not here: deadlines (`crate::store`).

use crate::engine::node::handle::Node;
use crate::rpc::errors::{ErrorKind, RpcError};
use crate::rpc::method::{Call, Effect, Method};
use crate::rpc::wire::task::{ExtendResult, TokenParams};

pub(super) struct ExtendTask;

impl Method for ExtendTask {
    const NAME: &'static str = "distributed.extend_task";
    const SUMMARY: &'static str = "Extend the time for a task";
    const DESCRIPTION: &'static str = "Gives the task its full timeout again, counted from now.";
    const ERRORS: &'static [ErrorKind] = &[
        ErrorKind::NotJoined,
        ErrorKind::NodeIdInUse,
        ErrorKind::NotFound,
        ErrorKind::StaleToken,
        ErrorKind::Overloaded,
        ErrorKind::RedisUnavailable,
    ];
    const EFFECT: Effect = Effect::ADDS;
    type Params = TokenParams;
    type Result = ExtendResult;

    async fn handle<N: Node>(call: Call<N>, params: TokenParams) -> Result<ExtendResult, RpcError> {
        let task_id = params.task_id.clone();
        let until = call.context.node.extend(params.try_into()?).await?;
        Ok(ExtendResult { task_id, expires_at_ms: until.0 })
    }
}
