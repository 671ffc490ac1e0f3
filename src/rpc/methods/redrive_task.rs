//! `distributed.redrive_task`.
//!
//! 1. Only a task that is dead or failed changes.
//!
//! Not here: tasks themselves (`crate::store`).

use crate::engine::node::handle::Node;
use crate::rpc::errors::{ErrorKind, RpcError};
use crate::rpc::method::{Call, Effect, Method};
use crate::rpc::wire::task::{StateResult, TaskIdParams};

pub(super) struct RedriveTask;

impl Method for RedriveTask {
    const NAME: &'static str = "distributed.redrive_task";
    const SUMMARY: &'static str = "Retry a dead or failed task";
    const DESCRIPTION: &'static str = "The task waits for a worker again, with all its attempts.";
    const ERRORS: &'static [ErrorKind] =
        &[ErrorKind::NotJoined, ErrorKind::NodeIdInUse, ErrorKind::NotFound, ErrorKind::RedisUnavailable];
    const EFFECT: Effect = Effect::ADDS;
    type Params = TaskIdParams;
    type Result = StateResult;

    async fn handle<N: Node>(call: Call<N>, params: TaskIdParams) -> Result<StateResult, RpcError> {
        let task_id = params.task_id.clone();
        let state = call.context.node.redrive(params.try_into()?).await?;
        Ok(StateResult { task_id, state: state.into() })
    }
}
