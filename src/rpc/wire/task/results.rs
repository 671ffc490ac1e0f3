//! The results of the task methods.
//!
//! 1. A list omits payloads and results, which may be large; `get_task` returns them.
//!
//! Not here: the parameters (`params.rs`).

use super::params::Requires;
use crate::cluster::members::member::{Member, Status};
use crate::cluster::protocol;
use crate::cluster::task::{Blocked, Requirements, TaskId, TaskState};
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

/// What a task waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WaitsFor {
    /// The sort of it.
    pub reason: WaitReason,
    /// The same in one sentence, with what it is about.
    pub detail: String,
}

/// Why a task does not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WaitReason {
    /// It is ready, and waits until a worker claims it.
    Worker,
    /// No online node meets its requirements.
    Requires,
    /// Other tasks must be done first.
    After,
    /// Too many tasks with its concurrency key run.
    Concurrency,
    /// Its delay is not over.
    Delay,
    /// An attempt failed, and the pause before the next one is not over.
    Retry,
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
    /// Why the task does not run; null: it runs, or has ended.
    pub waits_for: Option<WaitsFor>,
    /// The ids of the tasks that must be done first.
    pub after: Vec<String>,
    /// The name of the tasks of which only so many may run at once; null: any number may.
    pub concurrency_key: Option<String>,
    /// How many of them may run at once; null: any number.
    pub max_concurrent: Option<u64>,
    /// The id of the schedule that the task comes from; null: none.
    pub schedule_id: Option<String>,
    /// The time of the schedule that the task is for, in milliseconds of the Redis server's clock; null: it comes from none.
    pub scheduled_for_ms: Option<u64>,
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

/// What the nodes can do, for telling whether anyone meets a task's requirements.
pub(crate) struct Abilities<'a>(pub(crate) &'a [handle::NodeView]);

impl Abilities<'_> {
    /// What no online node has; `None`: one has everything.
    fn missing(&self, requires: &Requirements) -> Option<String> {
        let online = || self.0.iter().filter(|node| node.status == Status::Online).map(|node| &node.member);
        let meets = |member: &Member| {
            let metadata = &member.metadata;
            requires.capabilities.iter().all(|it| metadata.capabilities.contains(it))
                && requires.labels.iter().all(|(key, value)| metadata.labels.get(key) == Some(value))
                && requires.node_id.as_ref().is_none_or(|id| *id == member.node_id)
        };
        if *requires == Requirements::default() || online().any(meets) {
            return None;
        }
        let capabilities = requires.capabilities.iter().map(|it| format!("capability {it}"));
        let labels = requires.labels.iter().map(|(key, value)| format!("label {key}={value}"));
        let node = requires.node_id.iter().map(|id| format!("node id {id}"));
        let all: Vec<String> = capabilities.chain(labels).chain(node).collect();
        Some(format!("no online node meets its requirements: {}", all.join(", ")))
    }
}

fn waits_for(task: &protocol::TaskSummary, nodes: &Abilities<'_>) -> Option<WaitsFor> {
    let (reason, detail) = match (task.state, task.blocked) {
        (TaskState::Waiting, Some(Blocked::After)) => {
            let ids: Vec<&str> = task.after.iter().map(TaskId::as_str).collect();
            (WaitReason::After, format!("these tasks must be done first: {}", ids.join(", ")))
        }
        (TaskState::Waiting, Some(Blocked::Concurrency)) => {
            let (max, key) = task.concurrency.as_ref().map_or((0, ""), |it| (it.max, it.key.as_str()));
            (WaitReason::Concurrency, format!("at most {max} tasks with concurrency key {key} may run at once"))
        }
        (TaskState::Waiting, None) => match nodes.missing(&task.requires) {
            Some(missing) => (WaitReason::Requires, missing),
            None => (
                WaitReason::Worker,
                format!(
                    "no worker asks for tasks of kind {} at the moment: none runs, or all are busy or on nodes that drain",
                    task.kind
                ),
            ),
        },
        (TaskState::Delayed, _) if task.attempts > 0 => {
            (WaitReason::Retry, "the pause after its last attempt is not over".to_owned())
        }
        (TaskState::Delayed, _) => (WaitReason::Delay, "its delay is not over".to_owned()),
        _ => return None,
    };
    Some(WaitsFor { reason, detail })
}

impl ListedTask {
    /// A task as clients see it, with what it waits for.
    pub(crate) fn new(task: protocol::TaskSummary, nodes: &Abilities<'_>) -> Self {
        let waits_for = waits_for(&task, nodes);
        Self {
            waits_for,
            after: task.after.into_iter().map(String::from).collect(),
            concurrency_key: task.concurrency.as_ref().map(|it| it.key.to_string()),
            max_concurrent: task.concurrency.map(|it| u64::from(it.max)),
            schedule_id: task.origin.as_ref().map(|it| it.schedule.to_string()),
            scheduled_for_ms: task.origin.map(|it| it.slot.0),
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

impl TaskDetails {
    /// A task with its contents, as clients see it.
    pub(crate) fn new(task: protocol::Task, nodes: &Abilities<'_>) -> Result<Self, RpcError> {
        let protocol::Task { summary, payload, result } = task;
        let task = ListedTask::new(summary, nodes);
        Ok(Self { task, payload: content(payload)?, result: result.map(content).transpose()? })
    }
}
