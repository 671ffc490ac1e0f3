//! Tasks, as the outer layers use them.
//!
//! Not here: the work itself (`crate::engine::tasks`).

use super::Handout;
use crate::cluster::ids::TaskToken;
use crate::cluster::protocol::{ClaimedTask, Task, TaskSummary};
use crate::cluster::task::{Concurrency, Priority, Requirements, TaskId, TaskKind, TaskState};
use crate::cluster::time::ServerTime;
use crate::engine::error::Error;
use serde_json::value::RawValue;
use std::time::Duration;

/// A task to submit.
#[derive(Debug, Clone)]
pub struct TaskDraft {
    /// The client's id for the task; generated if absent.
    pub id: Option<TaskId>,
    /// The kind of work.
    pub kind: TaskKind,
    /// The input for the worker.
    pub payload: Box<RawValue>,
    /// The requirements on the node that gets the task.
    pub requires: Requirements,
    /// Tasks with a higher priority are claimed first.
    pub priority: Priority,
    /// How long to wait before the task becomes ready.
    pub delay: Duration,
    /// The maximum number of attempts.
    pub max_attempts: u32,
    /// How long one attempt may take.
    pub timeout: Duration,
    /// The tasks that must be done first.
    pub after: Vec<TaskId>,
    /// How many tasks like this one may run at once.
    pub concurrency: Option<Concurrency>,
}

/// The parameters of a claim.
#[derive(Debug, Clone)]
pub struct ClaimRequest {
    /// Only tasks of these kinds; empty: any kind.
    pub kinds: Vec<TaskKind>,
    /// The maximum number of tasks.
    pub limit: u32,
    /// How long to wait for the first task.
    pub wait: Duration,
}

/// The result of a claim.
#[derive(Debug)]
pub struct Claimed {
    /// The tasks, highest priority first.
    pub tasks: Vec<ClaimedTask>,
    /// Gives the tasks back when dropped, unless the answer was written; `None`: there are no tasks.
    pub handout: Option<Handout>,
}

/// A claimed task.
#[derive(Debug, Clone)]
pub struct HeldTask {
    /// The id of the task.
    pub id: TaskId,
    /// The token that the task was claimed with.
    pub token: TaskToken,
}

/// A query for tasks.
#[derive(Debug, Clone)]
pub struct TaskQuery {
    /// Only tasks in this state.
    pub state: Option<TaskState>,
    /// Only tasks of this kind.
    pub kind: Option<TaskKind>,
    /// The maximum number of tasks.
    pub limit: u32,
}

/// The part of a node that manages tasks.
pub trait Tasks: Send + Sync + 'static {
    /// Submits a task: returns its id, and whether it already existed.
    fn submit(&self, draft: TaskDraft) -> impl Future<Output = Result<(TaskId, bool), Error>> + Send;
    /// Claims tasks.
    fn claim(&self, request: ClaimRequest) -> impl Future<Output = Result<Claimed, Error>> + Send;
    /// Extends the time for a task: returns its new deadline.
    fn extend(&self, held: HeldTask) -> impl Future<Output = Result<ServerTime, Error>> + Send;
    /// Completes a task: returns its new state.
    fn complete(
        &self,
        held: HeldTask,
        result: Option<Box<RawValue>>,
    ) -> impl Future<Output = Result<TaskState, Error>> + Send;
    /// Fails a task: returns its new state.
    fn fail(&self, held: HeldTask, error: String, retry: bool)
    -> impl Future<Output = Result<TaskState, Error>> + Send;
    /// Cancels a task: returns its new state.
    fn cancel(&self, id: TaskId) -> impl Future<Output = Result<TaskState, Error>> + Send;
    /// Makes a failed or dead task wait again: returns its new state.
    fn redrive(&self, id: TaskId) -> impl Future<Output = Result<TaskState, Error>> + Send;
    /// A task with its payload and result.
    fn task(&self, id: TaskId) -> impl Future<Output = Result<Task, Error>> + Send;
    /// Tasks, newest first, and whether there are more.
    fn tasks(&self, query: TaskQuery) -> impl Future<Output = Result<(Vec<TaskSummary>, bool), Error>> + Send;
}
