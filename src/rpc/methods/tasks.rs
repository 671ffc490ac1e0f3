//! The methods about tasks.
//!
//! Not here: tasks themselves: deadlines, tokens, which node gets one (`crate::store`).

use crate::engine::node::handle::{Node, Tasks};
use crate::rpc::errors::ErrorKind::{
    self, MessageTooLarge, NodeIdInUse, NotFound, NotJoined, Overloaded, RedisUnavailable, StaleToken, Timeout,
};
use crate::rpc::errors::RpcError;
use crate::rpc::method::{Call, Effect, Method};
use crate::rpc::outgoing::AfterWrite;
use crate::rpc::wire::task::{
    Abilities, ClaimParams, ClaimResult, CompleteParams, ExtendResult, FailParams, ListParams, ListResult, ListedTask,
    StateResult, SubmitParams, SubmitResult, TaskDetails, TaskIdParams, TokenParams,
};

/// The call returns when Redis has the task.
pub(super) struct SubmitTask;

impl Method for SubmitTask {
    const NAME: &'static str = "distributed.submit_task";
    const SUMMARY: &'static str = "Submit a task for any node to do";
    const DESCRIPTION: &'static str = "Keeps a task until a worker claims it. A task id that already exists \
        makes the call a duplicate, which changes nothing. Without an id the node generates one; if the node \
        cannot tell whether the task was submitted, the timeout error names that id: submit the task again with \
        it. With after, the task waits until those tasks are done, and their results can be read with get_task; it \
        fails if one of them fails, is cancelled or dies. With concurrency_key, at most max_concurrent tasks with \
        that key run at once.";
    const ERRORS: &'static [ErrorKind] =
        &[NotJoined, NodeIdInUse, NotFound, MessageTooLarge, Overloaded, RedisUnavailable, Timeout];
    const EFFECT: Effect = Effect::ADDS;
    type Params = SubmitParams;
    type Result = SubmitResult;

    async fn handle<N: Node>(call: Call<N>, params: SubmitParams) -> Result<SubmitResult, RpcError> {
        let (task_id, duplicate) = call.context.node.work().submit(params.try_into()?).await?;
        Ok(SubmitResult { task_id: task_id.into(), duplicate })
    }
}

/// If the answer cannot be written, its tasks are given back.
pub(super) struct ClaimTasks;

impl Method for ClaimTasks {
    const NAME: &'static str = "distributed.claim_tasks";
    const SUMMARY: &'static str = "Claim tasks to work on";
    const DESCRIPTION: &'static str = "Returns tasks that this node is allowed to do, each with a token. The \
        caller has a task until expires_at_ms; extend_task moves that time. If the node dies, the task goes to \
        another node. With wait_ms the caller waits for the first task. A draining node gets none.";
    const ERRORS: &'static [ErrorKind] = &[NotJoined, NodeIdInUse, Overloaded, RedisUnavailable];
    const EFFECT: Effect = Effect::ADDS;
    type Params = ClaimParams;
    type Result = ClaimResult;

    async fn handle<N: Node>(call: Call<N>, params: ClaimParams) -> Result<ClaimResult, RpcError> {
        let (result, handout) = ClaimResult::split(call.context.node.work().claim(params.try_into()?).await?)?;
        if let Some(handout) = handout {
            call.after_write(AfterWrite::Handed(handout));
        }
        Ok(result)
    }
}

/// Only the token of the latest claim can extend the task.
pub(super) struct ExtendTask;

impl Method for ExtendTask {
    const NAME: &'static str = "distributed.extend_task";
    const SUMMARY: &'static str = "Extend the time for a task";
    const DESCRIPTION: &'static str = "Gives the task its full timeout again, counted from now.";
    const ERRORS: &'static [ErrorKind] = &[NotJoined, NodeIdInUse, NotFound, StaleToken, Overloaded, RedisUnavailable];
    const EFFECT: Effect = Effect::ADDS;
    type Params = TokenParams;
    type Result = ExtendResult;

    async fn handle<N: Node>(call: Call<N>, params: TokenParams) -> Result<ExtendResult, RpcError> {
        let task_id = params.task_id.clone();
        let until = call.context.node.work().extend(params.try_into()?).await?;
        Ok(ExtendResult { task_id, expires_at_ms: until.0 })
    }
}

/// Only the token of the latest claim can complete the task.
pub(super) struct CompleteTask;

impl Method for CompleteTask {
    const NAME: &'static str = "distributed.complete_task";
    const SUMMARY: &'static str = "Complete a task";
    const DESCRIPTION: &'static str = "Ends a task with a result. A repeated call, for example after a lost \
        answer, gets the same answer.";
    const ERRORS: &'static [ErrorKind] =
        &[NotJoined, NodeIdInUse, NotFound, StaleToken, MessageTooLarge, Overloaded, RedisUnavailable];
    const EFFECT: Effect = Effect::ADDS_ONCE;
    type Params = CompleteParams;
    type Result = StateResult;

    async fn handle<N: Node>(call: Call<N>, params: CompleteParams) -> Result<StateResult, RpcError> {
        let CompleteParams { task_id, token, result } = params;
        let held = TokenParams { task_id: task_id.clone(), token }.try_into()?;
        let state = call.context.node.work().complete(held, result).await?;
        Ok(StateResult { task_id, state })
    }
}

/// Only the token of the latest claim can fail the task.
pub(super) struct FailTask;

impl Method for FailTask {
    const NAME: &'static str = "distributed.fail_task";
    const SUMMARY: &'static str = "Report that a task failed";
    const DESCRIPTION: &'static str = "With retry the task is tried again after a pause while it has attempts \
        left; after the last attempt it is dead. Without retry it fails for good.";
    const ERRORS: &'static [ErrorKind] = &[NotJoined, NodeIdInUse, NotFound, StaleToken, Overloaded, RedisUnavailable];
    const EFFECT: Effect = Effect::SETTLES;
    type Params = FailParams;
    type Result = StateResult;

    async fn handle<N: Node>(call: Call<N>, params: FailParams) -> Result<StateResult, RpcError> {
        let FailParams { task_id, token, error, retry } = params;
        let held = TokenParams { task_id: task_id.clone(), token }.try_into()?;
        let state = call.context.node.work().fail(held, error, retry.unwrap_or(true)).await?;
        Ok(StateResult { task_id, state })
    }
}

/// A task that has ended does not change.
pub(super) struct CancelTask;

impl Method for CancelTask {
    const NAME: &'static str = "distributed.cancel_task";
    const SUMMARY: &'static str = "Cancel a task";
    const DESCRIPTION: &'static str = "Fails a task that has not ended, with the error cancelled. The token of a \
        worker that has claimed it becomes stale.";
    const ERRORS: &'static [ErrorKind] = &[NotJoined, NodeIdInUse, NotFound, RedisUnavailable];
    const EFFECT: Effect = Effect::SETTLES;
    type Params = TaskIdParams;
    type Result = StateResult;

    async fn handle<N: Node>(call: Call<N>, params: TaskIdParams) -> Result<StateResult, RpcError> {
        let task_id = params.task_id.clone();
        let state = call.context.node.work().cancel(params.try_into()?).await?;
        Ok(StateResult { task_id, state })
    }
}

/// It asks Redis, never the local view.
pub(super) struct GetTask;

impl Method for GetTask {
    const NAME: &'static str = "distributed.get_task";
    const SUMMARY: &'static str = "Show a task";
    const DESCRIPTION: &'static str = "Includes its payload and, once it is done, its result. Tasks that are \
        done or failed are kept for one day, dead tasks for one week.";
    const ERRORS: &'static [ErrorKind] = &[NotJoined, NodeIdInUse, NotFound, RedisUnavailable];
    const EFFECT: Effect = Effect::READS;
    type Params = TaskIdParams;
    type Result = TaskDetails;

    async fn handle<N: Node>(call: Call<N>, params: TaskIdParams) -> Result<TaskDetails, RpcError> {
        let task = call.context.node.work().task(params.try_into()?).await?;
        let view = call.context.node.state(false).await?;
        TaskDetails::new(task, &Abilities(&view.nodes))
    }
}

/// It asks Redis, never the local view.
pub(super) struct ListTasks;

impl Method for ListTasks {
    const NAME: &'static str = "distributed.list_tasks";
    const SUMMARY: &'static str = "List tasks";
    const DESCRIPTION: &'static str = "Newest first, without payloads and results. waits_for says why a task does \
        not run.";
    const ERRORS: &'static [ErrorKind] = &[NotJoined, NodeIdInUse, RedisUnavailable];
    const EFFECT: Effect = Effect::READS;
    type Params = ListParams;
    type Result = ListResult;

    async fn handle<N: Node>(call: Call<N>, params: ListParams) -> Result<ListResult, RpcError> {
        let (tasks, more) = call.context.node.work().tasks(params.try_into()?).await?;
        let view = call.context.node.state(false).await?;
        let nodes = Abilities(&view.nodes);
        Ok(ListResult { tasks: tasks.into_iter().map(|task| ListedTask::new(task, &nodes)).collect(), more })
    }
}

/// Only a task that is dead or failed changes.
pub(super) struct RedriveTask;

impl Method for RedriveTask {
    const NAME: &'static str = "distributed.redrive_task";
    const SUMMARY: &'static str = "Retry a dead or failed task";
    const DESCRIPTION: &'static str = "The task waits for a worker again, with all its attempts.";
    const ERRORS: &'static [ErrorKind] = &[NotJoined, NodeIdInUse, NotFound, RedisUnavailable];
    const EFFECT: Effect = Effect::ADDS;
    type Params = TaskIdParams;
    type Result = StateResult;

    async fn handle<N: Node>(call: Call<N>, params: TaskIdParams) -> Result<StateResult, RpcError> {
        let task_id = params.task_id.clone();
        let state = call.context.node.work().redrive(params.try_into()?).await?;
        Ok(StateResult { task_id, state })
    }
}
