//! `distributed.submit_task`.
//!
//! 1. The call returns when Redis has the task.
//!
//! Not here: which node gets it (`crate::store`).

use crate::engine::node::handle::Node;
use crate::rpc::errors::{ErrorKind, RpcError};
use crate::rpc::method::{Call, Effect, Method};
use crate::rpc::wire::task::{SubmitParams, SubmitResult};

pub(super) struct SubmitTask;

impl Method for SubmitTask {
    const NAME: &'static str = "distributed.submit_task";
    const SUMMARY: &'static str = "Submit a task for any node to do";
    const DESCRIPTION: &'static str = "Keeps a task until a worker claims it. A task id that already exists \
        makes the call a duplicate, which changes nothing. Without an id the node generates one; if the node \
        cannot tell whether the task was submitted, the timeout error names that id: submit the task again with \
        it.";
    const ERRORS: &'static [ErrorKind] = &[
        ErrorKind::NotJoined,
        ErrorKind::NodeIdInUse,
        ErrorKind::MessageTooLarge,
        ErrorKind::Overloaded,
        ErrorKind::RedisUnavailable,
        ErrorKind::Timeout,
    ];
    const EFFECT: Effect = Effect::ADDS;
    type Params = SubmitParams;
    type Result = SubmitResult;

    async fn handle<N: Node>(call: Call<N>, params: SubmitParams) -> Result<SubmitResult, RpcError> {
        let (task_id, duplicate) = call.context.node.submit(params.try_into()?).await?;
        Ok(SubmitResult { task_id: task_id.into(), duplicate })
    }
}
