//! `distributed.complete_task`.
//!
//! 1. Only the token of the latest claim can complete the task.
//!
//! Not here: checking tokens (`crate::store`).

use crate::engine::node::handle::Node;
use crate::rpc::errors::{ErrorKind, RpcError};
use crate::rpc::method::{Call, Effect, Method};
use crate::rpc::wire::task::{CompleteParams, StateResult, TokenParams};

pub(super) struct CompleteTask;

impl Method for CompleteTask {
    const NAME: &'static str = "distributed.complete_task";
    const SUMMARY: &'static str = "Complete a task";
    const DESCRIPTION: &'static str = "Ends a task with a result. A repeated call, for example after a lost \
        answer, gets the same answer.";
    const ERRORS: &'static [ErrorKind] = &[
        ErrorKind::NotJoined,
        ErrorKind::NodeIdInUse,
        ErrorKind::NotFound,
        ErrorKind::StaleToken,
        ErrorKind::MessageTooLarge,
        ErrorKind::Overloaded,
        ErrorKind::RedisUnavailable,
    ];
    const EFFECT: Effect = Effect::ADDS_ONCE;
    type Params = CompleteParams;
    type Result = StateResult;

    async fn handle<N: Node>(call: Call<N>, params: CompleteParams) -> Result<StateResult, RpcError> {
        let CompleteParams { task_id, token, result } = params;
        let held = TokenParams { task_id: task_id.clone(), token }.try_into()?;
        let state = call.context.node.complete(held, result).await?;
        Ok(StateResult { task_id, state: state.into() })
    }
}
