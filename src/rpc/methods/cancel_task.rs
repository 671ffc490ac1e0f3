//! `distributed.cancel_task`.
//!
//! 1. A task that has ended does not change.
//!
//! Not here: tasks themselves (`crate::store`).

use crate::engine::node::handle::Node;
use crate::rpc::errors::{ErrorKind, RpcError};
use crate::rpc::method::{Call, Effect, Method};
use crate::rpc::wire::task::{StateResult, TaskIdParams};

pub(super) struct CancelTask;

impl Method for CancelTask {
    const NAME: &'static str = "distributed.cancel_task";
    const SUMMARY: &'static str = "Cancel a task";
    const DESCRIPTION: &'static str = "Fails a task that has not ended, with the error cancelled. The token of a \
        worker that has claimed it becomes stale.";
    const ERRORS: &'static [ErrorKind] =
        &[ErrorKind::NotJoined, ErrorKind::NodeIdInUse, ErrorKind::NotFound, ErrorKind::RedisUnavailable];
    const EFFECT: Effect = Effect::SETTLES;
    type Params = TaskIdParams;
    type Result = StateResult;

    async fn handle<N: Node>(call: Call<N>, params: TaskIdParams) -> Result<StateResult, RpcError> {
        let task_id = params.task_id.clone();
        let state = call.context.node.cancel(params.try_into()?).await?;
        Ok(StateResult { task_id, state: state.into() })
    }
}
