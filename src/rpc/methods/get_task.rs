//! `distributed.get_task`.
//!
//! 1. It asks Redis, never the local view.
//!
//! Not here: tasks themselves (`crate::store`).

use crate::engine::node::handle::Node;
use crate::rpc::errors::{ErrorKind, RpcError};
use crate::rpc::method::{Call, Effect, Method};
use crate::rpc::wire::task::{TaskDetails, TaskIdParams};

pub(super) struct GetTask;

impl Method for GetTask {
    const NAME: &'static str = "distributed.get_task";
    const SUMMARY: &'static str = "Show a task";
    const DESCRIPTION: &'static str = "Includes its payload and, once it is done, its result. Tasks that are \
        done or failed are kept for one day, dead tasks for one week.";
    const ERRORS: &'static [ErrorKind] =
        &[ErrorKind::NotJoined, ErrorKind::NodeIdInUse, ErrorKind::NotFound, ErrorKind::RedisUnavailable];
    const EFFECT: Effect = Effect::READS;
    type Params = TaskIdParams;
    type Result = TaskDetails;

    async fn handle<N: Node>(call: Call<N>, params: TaskIdParams) -> Result<TaskDetails, RpcError> {
        call.context.node.task(params.try_into()?).await?.try_into()
    }
}
