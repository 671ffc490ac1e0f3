//! The transitions of tasks: submit, claim, settle, cancel, redrive, read.
//!
//! 1. A claim hands a task out under a token that no other claim of any task has. Only this token, from the incarnation
//!    that claimed, settles the task; once the task was completed or failed, or taken from its worker, the token is stale.
//! 2. A call without an incarnation reads, or decides for everybody: it needs no membership.
//!
//! Not here: names, requirements, backoff (`crate::cluster::task`).

use super::data_set::{Identity, Instance};
use crate::cluster::ids::{NodeId, Nonce, TaskToken};
use crate::cluster::task::{Blocked, Concurrency, Jitter, Origin, Priority, Requirements, TaskId, TaskKind, TaskState};
use crate::cluster::time::ServerTime;
use std::time::Duration;

/// Adds tasks; a task whose id exists does not change.
#[derive(Debug, Clone, PartialEq)]
pub struct SubmitTasks {
    /// The submitter.
    pub instance: Instance,
    /// The tasks, at most [`crate::cluster::task::BATCH_MAX`].
    pub tasks: Vec<NewTask>,
    /// The maximum size of all kept tasks in bytes; if the store's memory is limited, never more than a quarter of it.
    pub max_bytes: u64,
}

/// Withdraws a claim that was given up without an answer, or was made twice, however late it arrives: its tasks wait again
/// without having used an attempt, and for ten minutes it gets none.
#[derive(Debug, Clone, PartialEq)]
pub struct WithdrawClaim {
    /// The caller of the claim.
    pub instance: Instance,
    /// The kinds of the claim.
    pub kinds: Vec<TaskKind>,
    /// The nonce of the claim.
    pub nonce: Nonce,
    /// The first token that the claim returned, if any: those tasks stay claimed.
    pub returned: Option<TaskToken>,
}

/// Settles claimed tasks, each on its own.
#[derive(Debug, Clone, PartialEq)]
pub struct SettleTasks {
    /// The node that claimed them.
    pub instance: Instance,
    /// The settlements, at most [`crate::cluster::task::BATCH_MAX`].
    pub settlements: Vec<Settlement>,
}

/// Ends a task that has not ended: it becomes failed with the error `cancelled`.
#[derive(Debug, Clone, PartialEq)]
pub struct CancelTask {
    /// The id of the task.
    pub id: TaskId,
}

/// Makes a failed or dead task wait again, with all its attempts.
#[derive(Debug, Clone, PartialEq)]
pub struct RedriveTask {
    /// The id of the task.
    pub id: TaskId,
}

/// Reads one task.
#[derive(Debug, Clone, PartialEq)]
pub struct GetTask {
    /// The id of the task.
    pub id: TaskId,
}

/// Reads several tasks, newest first.
#[derive(Debug, Clone, PartialEq)]
pub struct ListTasks {
    /// Only tasks in this state.
    pub state: Option<TaskState>,
    /// Only tasks of this kind.
    pub kind: Option<TaskKind>,
    /// The maximum number of tasks, at most [`crate::cluster::task::BATCH_MAX`].
    pub limit: u32,
}

/// A transition of tasks.
#[derive(Debug, Clone, PartialEq)]
pub enum TaskCall {
    /// See [`SubmitTasks`].
    Submit(SubmitTasks),
    /// See [`TaskClaim`].
    Claim(TaskClaim),
    /// See [`WithdrawClaim`].
    Withdraw(WithdrawClaim),
    /// See [`SettleTasks`].
    Settle(SettleTasks),
    /// See [`CancelTask`].
    Cancel(CancelTask),
    /// See [`RedriveTask`].
    Redrive(RedriveTask),
    /// See [`GetTask`].
    Get(GetTask),
    /// See [`ListTasks`].
    List(ListTasks),
}

/// The answer to [`SubmitTasks`].
#[derive(Debug, Clone, PartialEq)]
pub struct SubmitReply {
    /// Whether the store knows the caller; otherwise nothing happened.
    pub identity: Identity,
    /// One result for each task, in the order of the call.
    pub results: Vec<Submitted>,
}

/// The answer to [`TaskClaim`].
#[derive(Debug, Clone, PartialEq)]
pub struct ClaimReply {
    /// Whether the store knows the caller; otherwise nothing happened.
    pub identity: Identity,
    /// The tasks, highest priority first. Fewer than asked for: there are no more that the caller can do now, or these
    /// hold [`crate::cluster::task::CLAIM_BYTES`]. A caller that wants more after it got some must ask again until nothing
    /// comes: only a claim that found no more is notified of the next one.
    pub tasks: Vec<ClaimedTask>,
}

/// The answer to [`SettleTasks`].
#[derive(Debug, Clone, PartialEq)]
pub struct SettleReply {
    /// Whether the store knows the caller; otherwise nothing happened.
    pub identity: Identity,
    /// One result for each settlement, in the order of the call.
    pub results: Vec<Settled>,
}

/// The store's answer to a [`TaskCall`].
#[derive(Debug, Clone, PartialEq)]
pub enum TaskReply {
    /// To [`SubmitTasks`].
    Submitted(SubmitReply),
    /// To [`TaskClaim`].
    Claimed(ClaimReply),
    /// To [`WithdrawClaim`].
    Withdrawn {
        /// The number of tasks that wait again.
        tasks: u64,
    },
    /// To [`SettleTasks`].
    Settled(SettleReply),
    /// To [`CancelTask`] and [`RedriveTask`].
    Changed(TaskChange),
    /// To [`GetTask`]; `None`: there is no such task.
    Task(Option<Box<Task>>),
    /// To [`ListTasks`].
    Tasks(Vec<TaskSummary>),
}

/// A task to submit.
#[derive(Debug, Clone, PartialEq)]
pub struct NewTask {
    /// The id of the task.
    pub id: TaskId,
    /// The kind of work.
    pub kind: TaskKind,
    /// The payload, as JSON text of at most [`crate::cluster::task::CONTENT_MAX`] bytes.
    pub payload: String,
    /// The requirements on the node that gets it.
    pub requires: Requirements,
    /// Tasks with a higher priority are claimed first.
    pub priority: Priority,
    /// How long it waits before it is ready, at most [`crate::cluster::task::DELAY_MAX`]; with `after`, from the moment at which those are done.
    pub delay: Duration,
    /// The maximum number of attempts; after the last failed one the task is dead: 1 to [`crate::cluster::task::ATTEMPTS_MAX`].
    pub max_attempts: u32,
    /// How long one attempt may take without an extension: from [`crate::cluster::task::TIMEOUT_MIN`] to
    /// [`crate::cluster::task::TIMEOUT_MAX`].
    pub timeout: Duration,
    /// The tasks that must be done first, at most [`crate::cluster::task::AFTER_MAX`]. If one of them fails, is cancelled, dies
    /// or is lost, this one fails.
    pub after: Vec<TaskId>,
    /// How many tasks like this one may run at once.
    pub concurrency: Option<Concurrency>,
    /// The schedule that it comes from.
    pub origin: Option<Origin>,
    /// The nonce of the submission: the same task with the same nonce is the same submission, and gets the same answer.
    pub nonce: Nonce,
}

/// The result for a [`NewTask`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Submitted {
    /// The task was added, now or already by an earlier call with the same nonce.
    New,
    /// A task with this id exists from another submission; it did not change.
    Duplicate,
    /// Its kind has ready tasks with too many different requirements, or there are too many kinds: the task was not added.
    Overloaded,
    /// The task of `after` at this place does not exist (any more): the task was not added.
    Unknown(usize),
    /// Too many tasks wait for one of `after`: the task was not added.
    Crowded,
    /// The tasks have reached their maximum size, although everything that could be forgotten was: the task was not added.
    Full,
}

/// Claims tasks. A draining member gets none.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskClaim {
    /// The caller.
    pub instance: Instance,
    /// Only tasks of these kinds; empty: any kind.
    pub kinds: Vec<TaskKind>,
    /// The maximum number of tasks, at most [`crate::cluster::task::BATCH_MAX`].
    pub limit: u32,
    /// The nonce of the claim: a repeated claim gets the same tasks, if they still run under it. Only the last claim of a
    /// node with these kinds is remembered, so a node has one such claim under way.
    pub nonce: Nonce,
    /// For the backoff of overdue tasks that the claim finds.
    pub jitter: Jitter,
}

/// A claimed task.
#[derive(Debug, Clone, PartialEq)]
pub struct ClaimedTask {
    /// The id of the task.
    pub id: TaskId,
    /// The token that settles it.
    pub token: TaskToken,
    /// The number of times it was claimed, including this one.
    pub attempt: u32,
    /// The kind of work.
    pub kind: TaskKind,
    /// The payload, as JSON text.
    pub payload: String,
    /// When it is taken from the worker, unless extended.
    pub expires_at: ServerTime,
}

/// The settlement of a claimed task.
#[derive(Debug, Clone, PartialEq)]
pub struct Settlement {
    /// The id of the task.
    pub id: TaskId,
    /// The token under which it was claimed.
    pub token: TaskToken,
    /// The outcome.
    pub verdict: Verdict,
}

/// See [`Settlement`].
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// It needs its full timeout again, from now.
    Extend,
    /// It is done.
    Complete {
        /// The result as JSON text, at most [`crate::cluster::task::CONTENT_MAX`] bytes.
        result: Option<String>,
    },
    /// It failed.
    Fail {
        /// Why, at most [`crate::cluster::task::ERROR_MAX`] bytes.
        error: String,
        /// Whether it is retried, if it has attempts left.
        retry: bool,
        /// For the backoff.
        jitter: Jitter,
    },
}

/// The result of a [`Settlement`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// It was accepted, now or already by an earlier call with the same token and verdict.
    Accepted {
        /// The state of the task now.
        state: TaskState,
        /// When it is taken from its worker (running), or becomes ready again (delayed).
        due_at: Option<ServerTime>,
    },
    /// The token is stale: another token, or none, settles the task.
    Stale,
    /// There is no such task (any more).
    NotFound,
}

/// The result of a [`CancelTask`] or [`RedriveTask`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskChange {
    /// The task changed; this is its state now.
    Yes(TaskState),
    /// The task's state does not allow the change; this is its state.
    No(TaskState),
    /// There is no such task (any more).
    NotFound,
}

/// A task without payload and result.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskSummary {
    /// The id of the task.
    pub id: TaskId,
    /// The kind of work.
    pub kind: TaskKind,
    /// The state of the task.
    pub state: TaskState,
    /// The requirements on the node that gets it.
    pub requires: Requirements,
    /// Tasks with a higher priority are claimed first.
    pub priority: Priority,
    /// The number of times it was claimed.
    pub attempts: u32,
    /// The maximum number of times it is claimed.
    pub max_attempts: u32,
    /// How long one attempt may take without an extension.
    pub timeout: Duration,
    /// The submitter.
    pub submitted_by: NodeId,
    /// The node that has claimed it, or was the last to do so.
    pub node_id: Option<NodeId>,
    /// The token of its last claim.
    pub token: Option<TaskToken>,
    /// When it was submitted.
    pub created_at: ServerTime,
    /// When it entered its state.
    pub changed_at: ServerTime,
    /// When it is taken from its worker (running), or becomes ready (delayed).
    pub due_at: Option<ServerTime>,
    /// Why its last attempt failed, or why it ended.
    pub error: Option<String>,
    /// The tasks that must be done first.
    pub after: Vec<TaskId>,
    /// How many tasks like this one may run at once.
    pub concurrency: Option<Concurrency>,
    /// The schedule that it comes from.
    pub origin: Option<Origin>,
    /// What it waits for besides a worker, while it is waiting.
    pub blocked: Option<Blocked>,
}

/// A task with payload and result.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// Everything except payload and result.
    pub summary: TaskSummary,
    /// The payload, as JSON text.
    pub payload: String,
    /// The result as JSON text, if the task is done and has one.
    pub result: Option<String>,
}
