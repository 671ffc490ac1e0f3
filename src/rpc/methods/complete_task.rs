//! `distributed.complete_task`.
//!
//! 1. Only the token of the latest claim completes.
//!
//! Not here: what a token proves (`crate::store`).

use super::{Call, Effect, Method};
use crate::engine::node::handle::Node;
use crate::rpc::errors::{ErrorKind, RpcError};
use crate::rpc::wire::task::{CompleteParams, StateResult, TokenParams};

pub(super) struct CompleteTask;

impl Method for CompleteTask {
    const NAME: &'static str = "distributed.complete_task";
    const SUMMARY: &'static str = "Say that a task is done";
    const DESCRIPTION: &'static str = "Ends a task with a result. The same call again, after a lost answer, gets the \
        same answer.";
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
