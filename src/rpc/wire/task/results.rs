//! What the tasks' methods answer.
//!
//! 1. A list leaves out payloads and results, which may be large; `get_task` has them.
//!
//! Not here: what callers give (`params.rs`).

use super::params::Requires;
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
    /// The node that has it, or had it last.
    pub node_id: Option<String>,
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
