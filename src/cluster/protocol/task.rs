//! The transitions of tasks: submitted, claimed, settled, cancelled, driven again, read.
//!
//! 1. A claim hands a task out under a token that no other claim of any task has; only this token, from the life that claimed,
//!    settles it, and once it was completed or failed, or taken from its worker, the token settles nothing any more.
//! 2. A call that names no life reads or decides for everybody: it needs no membership.
//!
//! Not here: names, requirements, backoff (`crate::cluster::task`).

use super::data_set::{Identity, Instance};
use crate::cluster::ids::{NodeId, Nonce, TaskToken};
use crate::cluster::task::{Jitter, Priority, Requirements, TaskId, TaskKind, TaskState};
use crate::cluster::time::ServerTime;
use std::time::Duration;

/// A transition of tasks.
#[derive(Debug, Clone, PartialEq)]
pub enum TaskCall {
    /// Adds tasks; one whose id exists is left as it is.
    Submit {
        /// Who submits.
        instance: Instance,
        /// What, at most [`crate::cluster::task::BATCH_MAX`].
        tasks: Vec<NewTask>,
        /// How many bytes all kept tasks may take; of a store whose memory is limited, a quarter at most.
        max_bytes: u64,
    },
    /// See [`TaskClaim`].
    Claim(TaskClaim),
    /// Takes back a claim that was given up without an answer, or was made twice, however late it arrives: the tasks that it was
    /// handed out wait again without having used up an attempt, and for ten minutes it gets none.
    Withdraw {
        /// Who claimed.
        instance: Instance,
        /// The kinds of the claim.
        kinds: Vec<TaskKind>,
        /// Its nonce.
        nonce: Nonce,
        /// The first token that it was told of, if it was: those tasks stay where they are.
        told: Option<TaskToken>,
    },
    /// Says how claimed tasks go, each by itself.
    Settle {
        /// Who claimed them.
        instance: Instance,
        /// Which, at most [`crate::cluster::task::BATCH_MAX`].
        settlements: Vec<Settlement>,
    },
    /// Ends a task that has not ended: it becomes failed with the error `cancelled`.
    Cancel {
        /// Which.
        id: TaskId,
    },
    /// Makes a failed or dead task wait again, with all its attempts.
    Redrive {
        /// Which.
        id: TaskId,
    },
    /// Reads one task.
    Get {
        /// Which.
        id: TaskId,
    },
    /// Reads several, newest first.
    List {
        /// In this state only.
        state: Option<TaskState>,
        /// Of this kind only.
        kind: Option<TaskKind>,
        /// At most so many, at most [`crate::cluster::task::BATCH_MAX`].
        limit: u32,
    },
}

/// The store's answer, of the same name as its [`TaskCall`].
#[derive(Debug, Clone, PartialEq)]
pub enum TaskReply {
    /// To [`TaskCall::Submit`].
    Submitted {
        /// Whether the caller is known; otherwise nothing happened.
        identity: Identity,
        /// One for each task, in the order of the call.
        results: Vec<Submitted>,
    },
    /// To [`TaskCall::Claim`].
    Claimed {
        /// Whether the caller is known; otherwise nothing happened.
        identity: Identity,
        /// The tasks, best first; fewer than asked for: there are no more that the caller can do now, or these hold
        /// [`crate::cluster::task::CLAIM_BYTES`]. Who still wants some after it got some asks again, until nothing comes: only
        /// a claim that found no more is told of the next one.
        tasks: Vec<ClaimedTask>,
    },
    /// To [`TaskCall::Withdraw`].
    Withdrawn {
        /// How many tasks wait again.
        tasks: u64,
    },
    /// To [`TaskCall::Settle`].
    Settled {
        /// Whether the caller is known; otherwise nothing happened.
        identity: Identity,
        /// One for each settlement, in the order of the call.
        results: Vec<Settled>,
    },
    /// To [`TaskCall::Cancel`] and [`TaskCall::Redrive`].
    Changed(TaskChange),
    /// To [`TaskCall::Get`]; `None`: there is no such task.
    Task(Option<Box<Task>>),
    /// To [`TaskCall::List`].
    Tasks(Vec<TaskSummary>),
}

/// A task to be done.
#[derive(Debug, Clone, PartialEq)]
pub struct NewTask {
    /// Its name.
    pub id: TaskId,
    /// What sort of work.
    pub kind: TaskKind,
    /// JSON text, at most [`crate::cluster::task::CONTENT_MAX`] bytes.
    pub payload: String,
    /// What a worker must have.
    pub requires: Requirements,
    /// Its rank among those that are ready.
    pub priority: Priority,
    /// How long it waits before it is ready, at most [`crate::cluster::task::DELAY_MAX`].
    pub delay: Duration,
    /// How often it is handed out before it counts as dead: 1 to [`crate::cluster::task::ATTEMPTS_MAX`].
    pub max_attempts: u32,
    /// How long a worker has for it, unless extended: from [`crate::cluster::task::TIMEOUT_MIN`] to
    /// [`crate::cluster::task::TIMEOUT_MAX`].
    pub timeout: Duration,
    /// The submission's own nonce: the same task again with the same nonce is the same submission, and answered as it was.
    pub nonce: Nonce,
}

/// What became of a [`NewTask`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Submitted {
    /// It was added, now or already by an earlier call with the same nonce.
    New,
    /// A task of this id exists from another submission; it was left as it is.
    Duplicate,
    /// Its kind has ready tasks with too many different requirements, or there are too many kinds: it was not added.
    Overloaded,
    /// The tasks that are kept take as many bytes as they may, though all that could be forgotten was: it was not added.
    Full,
}

/// Asks for tasks to work on. A draining member gets none.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskClaim {
    /// Who asks.
    pub instance: Instance,
    /// Of these kinds only; empty: of any.
    pub kinds: Vec<TaskKind>,
    /// At most so many, at most [`crate::cluster::task::BATCH_MAX`].
    pub limit: u32,
    /// The claim's own nonce: the same one again gets the same tasks, as far as they still run under it. Only the last claim of
    /// a node with these kinds is remembered, so a node has one such claim under way.
    pub nonce: Nonce,
    /// For the backoff of overdue tasks that the claim comes across.
    pub jitter: Jitter,
}

/// A task that was handed out.
#[derive(Debug, Clone, PartialEq)]
pub struct ClaimedTask {
    /// Which.
    pub id: TaskId,
    /// The token that settles it.
    pub token: TaskToken,
    /// How often it has been handed out, this time included.
    pub attempt: u32,
    /// What sort of work.
    pub kind: TaskKind,
    /// JSON text.
    pub payload: String,
    /// When it is taken from the worker, unless extended.
    pub expires_at: ServerTime,
}

/// How a claimed task goes.
#[derive(Debug, Clone, PartialEq)]
pub struct Settlement {
    /// Which.
    pub id: TaskId,
    /// The token under which it was handed out.
    pub token: TaskToken,
    /// How.
    pub verdict: Verdict,
}

/// See [`Settlement`].
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// It needs its timeout once more, from now.
    Extend,
    /// It is done.
    Complete {
        /// JSON text, at most [`crate::cluster::task::CONTENT_MAX`] bytes.
        result: Option<String>,
    },
    /// It failed.
    Fail {
        /// Why, at most [`crate::cluster::task::ERROR_MAX`] bytes.
        error: String,
        /// Whether it is tried again, as far as it has attempts left.
        retry: bool,
        /// For the backoff.
        jitter: Jitter,
    },
}

/// What became of a [`Settlement`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// It was accepted, now or already by an earlier call with the same token and verdict.
    Accepted {
        /// The task's state now.
        state: TaskState,
        /// When it is taken from its worker (running), or ready again (delayed).
        due_at: Option<ServerTime>,
    },
    /// The token settles the task no more: another one, or none, does.
    Stale,
    /// There is no such task (any more).
    NotFound,
}

/// What became of a [`TaskCall::Cancel`] or [`TaskCall::Redrive`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskChange {
    /// It happened; the task's state now.
    Yes(TaskState),
    /// The task's state does not allow it, and stays.
    No(TaskState),
    /// There is no such task (any more).
    NotFound,
}

/// A task without its contents.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskSummary {
    /// Which.
    pub id: TaskId,
    /// What sort of work.
    pub kind: TaskKind,
    /// Where it stands.
    pub state: TaskState,
    /// What a worker must have.
    pub requires: Requirements,
    /// Its rank among those that are ready.
    pub priority: Priority,
    /// How often it was handed out.
    pub attempts: u32,
    /// How often it is handed out at most.
    pub max_attempts: u32,
    /// How long a worker has for it.
    pub timeout: Duration,
    /// Who submitted it.
    pub submitted_by: NodeId,
    /// Who works on it, or worked on it last.
    pub node_id: Option<NodeId>,
    /// The token of its last claim.
    pub token: Option<TaskToken>,
    /// When it was submitted.
    pub created_at: ServerTime,
    /// When its state changed last.
    pub changed_at: ServerTime,
    /// When it is taken from its worker (running), or ready (delayed).
    pub due_at: Option<ServerTime>,
    /// Why its last attempt failed, or why it ended.
    pub error: Option<String>,
}

/// A task with its contents.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// All but the contents.
    pub summary: TaskSummary,
    /// JSON text.
    pub payload: String,
    /// JSON text, of a task that is done and left one.
    pub result: Option<String>,
}
