//! `distributed.list_tasks`.
//!
//! 1. It asks Redis, never the local view.
//!
//! Not here: tasks themselves (`crate::store`).

use crate::engine::node::handle::Node;
use crate::rpc::errors::{ErrorKind, RpcError};
use crate::rpc::method::{Call, Effect, Method};
use crate::rpc::wire::task::{ListParams, ListResult, ListedTask};

pub(super) struct ListTasks;

impl Method for ListTasks {
    const NAME: &'static str = "distributed.list_tasks";
    const SUMMARY: &'static str = "List tasks";
    const DESCRIPTION: &'static str = "Newest first, without payloads and results.";
    const ERRORS: &'static [ErrorKind] = &[ErrorKind::NotJoined, ErrorKind::NodeIdInUse, ErrorKind::RedisUnavailable];
    const EFFECT: Effect = Effect::READS;
    type Params = ListParams;
    type Result = ListResult;

    async fn handle<N: Node>(call: Call<N>, params: ListParams) -> Result<ListResult, RpcError> {
        let (tasks, more) = call.context.node.tasks(params.try_into()?).await?;
        Ok(ListResult { tasks: tasks.into_iter().map(ListedTask::from).collect(), more })
    }
}
