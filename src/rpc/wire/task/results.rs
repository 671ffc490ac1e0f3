//! The results of the task methods.
//!
//! 1. A list omits payloads and results, which may be large; `get_task` returns them.
//!
//! Not here: the parameters (`params.rs`).

use super::params::Requires;
use crate::cluster::protocol;
use crate::cluster::task::{Requirements, TaskState};
use crate::cluster::time::millis;
use crate::engine::node::handle;
use crate::rpc::errors::{ErrorKind, RpcError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The result of `distributed.submit_task`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SubmitResult {
    /// The id of the task, given or generated.
    pub task_id: String,
    /// Whether a task with this id already existed; then nothing was changed.
    pub duplicate: bool,
}

/// A task that the caller has claimed.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ClaimedTask {
    /// The id of the task.
    pub task_id: String,
    /// The number of this attempt, from 1.
    pub attempt: u64,
    /// The token that proves the claim; a later claim has a higher token.
    pub token: u64,
    /// The kind of work.
    pub kind: String,
    /// The payload that was submitted.
    #[schemars(with = "serde_json::Value")]
    pub payload: Box<RawValue>,
    /// When this attempt times out unless it is extended, in milliseconds of the Redis server's clock.
    pub expires_at_ms: u64,
}

/// The result of `distributed.claim_tasks`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ClaimResult {
    /// The claimed tasks, highest priority first; empty if none became ready in time, or while the node is draining.
    pub tasks: Vec<ClaimedTask>,
}

/// The result of `distributed.extend_task`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExtendResult {
    /// The id of the task.
    pub task_id: String,
    /// When this attempt now times out unless it is extended again, in milliseconds of the Redis server's clock.
    pub expires_at_ms: u64,
}

/// The result of `distributed.complete_task`, `fail_task`, `cancel_task` and `redrive_task`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StateResult {
    /// The id of the task.
    pub task_id: String,
    /// The new state of the task.
    pub state: TaskState,
}

/// A task in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ListedTask {
    /// The id of the task.
    pub task_id: String,
    /// The state of the task.
    pub state: TaskState,
    /// The number of attempts so far.
    pub attempts: u64,
    /// The maximum number of attempts.
    pub max_attempts: u64,
    /// The kind of work.
    pub kind: String,
    /// The priority; higher ones are claimed first.
    pub priority: i64,
    /// The requirements on the node that gets the task.
    pub requires: Requires,
    /// How long one attempt may take without an extension, in milliseconds.
    pub timeout_ms: u64,
    /// The id of the node that submitted the task.
    pub submitted_by: String,
    /// The id of the node that has claimed the task, or was the last to do so; null: none was.
    pub node_id: Option<String>,
    /// The token of the last claim, for comparing. Only the node that claimed the task can settle it with this token.
    pub token: Option<u64>,
    /// Why the last attempt failed; null: it did not.
    pub error: Option<String>,
    /// When the task was submitted, in milliseconds of the Redis server's clock.
    pub created_at_ms: u64,
    /// When the task entered its state, in milliseconds of the Redis server's clock.
    pub changed_at_ms: u64,
    /// When a `delayed` task becomes ready, or the attempt of a `running` one times out, in milliseconds of the Redis
    /// server's clock.
    pub due_at_ms: Option<u64>,
}

/// The result of `distributed.get_task`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TaskDetails {
    /// The fields that a list shows too.
    #[serde(flatten)]
    pub task: ListedTask,
    /// The payload that was submitted.
    #[schemars(with = "serde_json::Value")]
    pub payload: Box<RawValue>,
    /// The result, once the task is done.
    #[schemars(with = "Option<serde_json::Value>")]
    pub result: Option<Box<RawValue>>,
}

/// The result of `distributed.list_tasks`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ListResult {
    /// The tasks, newest first.
    pub tasks: Vec<ListedTask>,
    /// Whether there are more tasks than `limit`.
    pub more: bool,
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

/// Content as the store keeps it; it was checked to be JSON when it was submitted.
fn content(text: String) -> Result<Box<RawValue>, RpcError> {
    RawValue::from_string(text).map_err(|_| {
        RpcError::new(ErrorKind::InternalError, "internal error: the content of a task in Redis is not valid JSON")
    })
}

impl ClaimResult {
    /// Splits the node's answer into the result, and the handout that gives the tasks back if the result is never written.
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
            state: task.state,
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
