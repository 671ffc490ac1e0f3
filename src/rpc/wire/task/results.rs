//! What the tasks' methods answer.
//!
//! 1. A list leaves out payloads and results, which may be large; `get_task` has them.
//!
//! Not here: what callers give (`params.rs`).

use super::params::Requires;
use crate::cluster::protocol;
use crate::cluster::task::{self, Requirements};
use crate::cluster::time::millis;
use crate::engine::node::handle;
use crate::rpc::errors::{ErrorKind, RpcError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Where a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TaskState {
    /// Ready for a worker.
    Waiting,
    /// Ready later.
    Delayed,
    /// A worker has it.
    Running,
    /// Done.
    Done,
    /// Failed for good, or cancelled.
    Failed,
    /// Tried as often as allowed.
    Dead,
}

/// The result of `distributed.submit_task`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SubmitResult {
    /// Its id, given or generated.
    pub task_id: String,
    /// Whether a task of this id was there already; then nothing was changed.
    pub duplicate: bool,
}

/// A task that is the caller's to do.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ClaimedTask {
    /// Its id.
    pub task_id: String,
    /// The how many-th try this is, from 1.
    pub attempt: u64,
    /// What proves that it is the caller's; a later claim has a higher one.
    pub token: u64,
    /// What kind of work it is.
    pub kind: String,
    /// What was submitted.
    #[schemars(with = "serde_json::Value")]
    pub payload: Box<RawValue>,
    /// When this try is over unless it is extended, in milliseconds of the Redis server's clock.
    pub expires_at_ms: u64,
}

/// The result of `distributed.claim_tasks`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ClaimResult {
    /// The tasks, the most urgent first; none when there were none in time, or while the node drains.
    pub tasks: Vec<ClaimedTask>,
}

/// The result of `distributed.extend_task`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExtendResult {
    /// The task.
    pub task_id: String,
    /// When this try is over now unless it is extended again, in milliseconds of the Redis server's clock.
    pub expires_at_ms: u64,
}

/// The result of `distributed.complete_task`, `fail_task`, `cancel_task` and `redrive_task`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StateResult {
    /// The task.
    pub task_id: String,
    /// Where it stands now.
    pub state: TaskState,
}

/// A task in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ListedTask {
    /// Its id.
    pub task_id: String,
    /// Where it stands.
    pub state: TaskState,
    /// How often it was tried.
    pub attempts: u64,
    /// How often it may be tried.
    pub max_attempts: u64,
    /// What kind of work it is.
    pub kind: String,
    /// Higher ones first.
    pub priority: i64,
    /// What a node must be or have to get it.
    pub requires: Requires,
    /// How long one try may take without an extension, in milliseconds.
    pub timeout_ms: u64,
    /// The node that submitted it.
    pub submitted_by: String,
    /// The node that has it, or had it last.
    pub node_id: Option<String>,
    /// The token of its last claim, to compare by. It settles the task only for the node that claimed it.
    pub token: Option<u64>,
    /// Why the last try failed.
    pub error: Option<String>,
    /// When it was submitted, in milliseconds of the Redis server's clock.
    pub created_at_ms: u64,
    /// When it came to where it stands, in milliseconds of the Redis server's clock.
    pub changed_at_ms: u64,
    /// When it will be ready (`delayed`), or this try is over (`running`), in milliseconds of the Redis server's clock.
    pub due_at_ms: Option<u64>,
}

/// The result of `distributed.get_task`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TaskDetails {
    /// What a list shows of it, too.
    #[serde(flatten)]
    pub task: ListedTask,
    /// What was submitted.
    #[schemars(with = "serde_json::Value")]
    pub payload: Box<RawValue>,
    /// What came of it, once it is done.
    #[schemars(with = "Option<serde_json::Value>")]
    pub result: Option<Box<RawValue>>,
}

/// The result of `distributed.list_tasks`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ListResult {
    /// The tasks, the newest first.
    pub tasks: Vec<ListedTask>,
    /// Whether there are more than the limit.
    pub more: bool,
}

impl From<task::TaskState> for TaskState {
    fn from(state: task::TaskState) -> Self {
        match state {
            task::TaskState::Waiting => Self::Waiting,
            task::TaskState::Delayed => Self::Delayed,
            task::TaskState::Running => Self::Running,
            task::TaskState::Done => Self::Done,
            task::TaskState::Failed => Self::Failed,
            task::TaskState::Dead => Self::Dead,
        }
    }
}

impl From<TaskState> for task::TaskState {
    fn from(state: TaskState) -> Self {
        match state {
            TaskState::Waiting => Self::Waiting,
            TaskState::Delayed => Self::Delayed,
            TaskState::Running => Self::Running,
            TaskState::Done => Self::Done,
            TaskState::Failed => Self::Failed,
            TaskState::Dead => Self::Dead,
        }
    }
}

impl From<Requirements> for Requires {
    fn from(requirements: Requirements) -> Self {
        let Requirements { capabilities, labels, node_id } = requirements;
        Self {
            capabilities: Some(capabilities.into_iter().collect()),
            labels: Some(labels),
            node_id: node_id.map(String::from),
        }
    }
}

/// Content as the store keeps it; it was JSON when it came in.
fn content(text: String) -> Result<Box<RawValue>, RpcError> {
    RawValue::from_string(text)
        .map_err(|_| RpcError::new(ErrorKind::InternalError, "internal error: a task's content in Redis is no JSON"))
}

impl ClaimResult {
    /// Splits what the node answered into the result and what gives the tasks back unless the result is written.
    pub(crate) fn split(claimed: handle::Claimed) -> Result<(Self, Option<handle::Handout>), RpcError> {
        let handle::Claimed { tasks, handout } = claimed;
        let tasks = tasks.into_iter().map(ClaimedTask::try_from).collect::<Result<_, _>>()?;
        Ok((Self { tasks }, handout))
    }
}

impl TryFrom<protocol::ClaimedTask> for ClaimedTask {
    type Error = RpcError;

    fn try_from(task: protocol::ClaimedTask) -> Result<Self, RpcError> {
        Ok(Self {
            task_id: task.id.into(),
            attempt: u64::from(task.attempt),
            token: task.token.0,
            kind: task.kind.into(),
            payload: content(task.payload)?,
            expires_at_ms: task.expires_at.0,
        })
    }
}

impl From<protocol::TaskSummary> for ListedTask {
    fn from(task: protocol::TaskSummary) -> Self {
        Self {
            task_id: task.id.into(),
            state: task.state.into(),
            attempts: u64::from(task.attempts),
            max_attempts: u64::from(task.max_attempts),
            kind: task.kind.into(),
            priority: task.priority.get(),
            requires: task.requires.into(),
            timeout_ms: millis(task.timeout),
            submitted_by: task.submitted_by.into(),
            node_id: task.node_id.map(String::from),
            token: task.token.map(|token| token.0),
            error: task.error,
            created_at_ms: task.created_at.0,
            changed_at_ms: task.changed_at.0,
            due_at_ms: task.due_at.map(|at| at.0),
        }
    }
}

impl TryFrom<protocol::Task> for TaskDetails {
    type Error = RpcError;

    fn try_from(task: protocol::Task) -> Result<Self, RpcError> {
        let protocol::Task { summary, payload, result } = task;
        Ok(Self { task: summary.into(), payload: content(payload)?, result: result.map(content).transpose()? })
    }
}
