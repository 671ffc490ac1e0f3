//! `distributed.submit_task`.
//!
//! 1. It is answered when Redis has the task.
//!
//! Not here: who gets it (`crate::store`).

use super::{Call, Effect, Method};
use crate::engine::node::handle::Node;
use crate::rpc::errors::{ErrorKind, RpcError};
use crate::rpc::wire::task::{SubmitParams, SubmitResult};

pub(super) struct SubmitTask;

impl Method for SubmitTask {
    const NAME: &'static str = "distributed.submit_task";
    const SUMMARY: &'static str = "Put a task up for any node to do";
    const DESCRIPTION: &'static str = "Keeps a task until a worker claims it. An id that is there already makes it a \
        duplicate, which changes nothing. Without an id the node makes one up; where it cannot tell whether the task was \
        submitted, the error timeout names that id, to be submitted with again.";
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
