//! Tasks, as the outer layers ask for them.
//!
//! Not here: the work itself (`crate::engine::tasks`).

use super::Handout;
use crate::cluster::ids::TaskToken;
use crate::cluster::protocol::{ClaimedTask, Task, TaskSummary};
use crate::cluster::task::{Priority, Requirements, TaskId, TaskKind, TaskState};
use crate::cluster::time::ServerTime;
use crate::engine::error::Error;
use serde_json::value::RawValue;
use std::time::Duration;

/// A task to be done.
#[derive(Debug, Clone)]
pub struct TaskDraft {
    /// The client's id for it; generated when absent.
    pub id: Option<TaskId>,
    /// What sort of work it is.
    pub kind: TaskKind,
    /// What the worker gets.
    pub payload: Box<RawValue>,
    /// What a node must have to get it.
    pub requires: Requirements,
    /// Its rank among those that are ready.
    pub priority: Priority,
    /// Not before so long from now.
    pub delay: Duration,
    /// How often it is tried.
    pub max_attempts: u32,
    /// How long one try may take.
    pub timeout: Duration,
}

/// What a claim asks for.
#[derive(Debug, Clone)]
pub struct ClaimRequest {
    /// Of these kinds only; empty: of any.
    pub kinds: Vec<TaskKind>,
    /// At most so many.
    pub limit: u32,
    /// How long to wait for the first one.
    pub wait: Duration,
}

/// What a claim leads to.
#[derive(Debug)]
pub struct Claimed {
    /// The tasks, best first.
    pub tasks: Vec<ClaimedTask>,
    /// To be told when the answer has been written; `None` when nothing hangs on it.
    pub handout: Option<Handout>,
}

/// A task and the token that shall settle it.
#[derive(Debug, Clone)]
pub struct HeldTask {
    /// Which.
    pub id: TaskId,
    /// The token that it was claimed with.
    pub token: TaskToken,
}

/// Which tasks to list.
#[derive(Debug, Clone)]
pub struct TaskQuery {
    /// In this state only.
    pub state: Option<TaskState>,
    /// Of this kind only.
    pub kind: Option<TaskKind>,
    /// At most so many.
    pub limit: u32,
}

/// The part of a node that hands tasks out.
pub trait Tasks: Send + Sync + 'static {
    /// Puts a task up: its id, and whether it was there already.
    fn submit(&self, draft: TaskDraft) -> impl Future<Output = Result<(TaskId, bool), Error>> + Send;
    /// Takes tasks to do.
    fn claim(&self, request: ClaimRequest) -> impl Future<Output = Result<Claimed, Error>> + Send;
    /// Takes longer over a task: until when it may take now.
    fn extend(&self, held: HeldTask) -> impl Future<Output = Result<ServerTime, Error>> + Send;
    /// A task is done: where it stands now.
    fn complete(
        &self,
        held: HeldTask,
        result: Option<Box<RawValue>>,
    ) -> impl Future<Output = Result<TaskState, Error>> + Send;
    /// A task went wrong: where it stands now.
    fn fail(&self, held: HeldTask, error: String, retry: bool)
    -> impl Future<Output = Result<TaskState, Error>> + Send;
    /// Takes a task back: where it stands now.
    fn cancel(&self, id: TaskId) -> impl Future<Output = Result<TaskState, Error>> + Send;
    /// Makes a failed or dead task wait again: where it stands now.
    fn redrive(&self, id: TaskId) -> impl Future<Output = Result<TaskState, Error>> + Send;
    /// A task with its contents.
    fn task(&self, id: TaskId) -> impl Future<Output = Result<Task, Error>> + Send;
    /// Tasks, the newest first, and whether there are more.
    fn tasks(&self, query: TaskQuery) -> impl Future<Output = Result<(Vec<TaskSummary>, bool), Error>> + Send;
}
