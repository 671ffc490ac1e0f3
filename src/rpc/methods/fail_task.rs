//! `distributed.fail_task`.
//!
//! 1. Only the token of the latest claim can fail the task.
//!
//! Not here: the length of the pause (`crate::store`).

use crate::engine::node::handle::Node;
use crate::rpc::errors::{ErrorKind, RpcError};
use crate::rpc::method::{Call, Effect, Method};
use crate::rpc::wire::task::{FailParams, StateResult, TokenParams};

pub(super) struct FailTask;

impl Method for FailTask {
    const NAME: &'static str = "distributed.fail_task";
    const SUMMARY: &'static str = "Report that a task failed";
    const DESCRIPTION: &'static str = "With retry the task is tried again after a pause while it has attempts \
        left; after the last attempt it is dead. Without retry it fails for good.";
    const ERRORS: &'static [ErrorKind] = &[
        ErrorKind::NotJoined,
        ErrorKind::NodeIdInUse,
        ErrorKind::NotFound,
        ErrorKind::StaleToken,
        ErrorKind::Overloaded,
        ErrorKind::RedisUnavailable,
    ];
    const EFFECT: Effect = Effect::SETTLES;
    type Params = FailParams;
    type Result = StateResult;

    async fn handle<N: Node>(call: Call<N>, params: FailParams) -> Result<StateResult, RpcError> {
        let FailParams { task_id, token, error, retry } = params;
        let held = TokenParams { task_id: task_id.clone(), token }.try_into()?;
        let state = call.context.node.fail(held, error, retry.unwrap_or(true)).await?;
        Ok(StateResult { task_id, state: state.into() })
    }
}
