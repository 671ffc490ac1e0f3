//! The errors of a request, in terms of the domain.
//!
//! 1. An error contains no text of Redis, no address and no secret that was not cleaned first.
//!
//! Not here: the error codes that clients see (`crate::rpc::errors`).

use crate::cluster::ids::NodeId;
use crate::cluster::task::{ScheduleId, TaskId};
use std::time::Duration;

/// Why a request failed. The text says what is wrong and what to do, in one sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// This node is not a member of the cluster.
    #[error("this node is not a member of the cluster; call distributed.join_cluster first")]
    NotJoined,
    /// Redis did not answer; as far as known nothing was lost.
    #[error("Redis is unavailable ({detail}); the node keeps retrying, call again")]
    RedisUnavailable {
        /// What happened, without secrets.
        detail: String,
        /// When to call again.
        retry_after: Duration,
    },
    /// A task without an id of the client was submitted, and Redis did not answer: submitting it again without the id would
    /// be another task.
    #[error(
        "Redis did not answer in time, and the task may have been submitted; call again with id {task_id} so that it is submitted only once"
    )]
    Unanswered {
        /// The id that the node generated.
        task_id: TaskId,
    },
    /// The node is being stopped; what it held ends with it.
    #[error("this node is stopping; call again after it has restarted, or call another node")]
    Stopping,
    /// Another process holds the node id.
    #[error("node id {node_id} is in use by {holder}; stop that process, choose another id, or join with force")]
    NodeIdInUse {
        /// The node id.
        node_id: NodeId,
        /// The holder, as far as known.
        holder: String,
    },
    /// Some node ids are not those of (live) members.
    #[error("no such member: {}; see distributed.get_cluster_state for the members", .names.join(", "))]
    UnknownNode {
        /// Those ids, as given.
        names: Vec<String>,
    },
    /// A message is larger than [`crate::cluster::settings::MAX_MESSAGE_BYTES`].
    #[error("message {index} has {bytes} bytes, at most {max} are allowed; send a reference to the content instead")]
    MessageTooLarge {
        /// The index of the message in the call.
        index: usize,
        /// The size of the message.
        bytes: usize,
        /// The maximum size.
        max: usize,
    },
    /// The payload, result or error text of a task is too large.
    #[error("{what} has {bytes} bytes, at most {max} are allowed; pass a reference to the content instead")]
    TooLarge {
        /// The part that is too large.
        what: &'static str,
        /// Its size.
        bytes: usize,
        /// The maximum size.
        max: usize,
    },
    /// A token is stale: it does not hold its lease or task any more.
    #[error("token {token} for {what} {name} is stale; stop the work it protects")]
    StaleToken {
        /// `lease` or `task`.
        what: &'static str,
        /// The name of the lease or the id of the task.
        name: String,
        /// The given token.
        token: u64,
    },
    /// There is no such task.
    #[error("there is no task {task_id}; it may have ended and expired, see distributed.list_tasks")]
    NoTask {
        /// The given id.
        task_id: TaskId,
    },
    /// A policy of this node refuses the request.
    #[error("{what}; set {key}")]
    Forbidden {
        /// What is refused.
        what: String,
        /// The configuration key to set, and to what.
        key: &'static str,
    },
    /// There is no such schedule.
    #[error("there is no schedule {schedule_id}; see distributed.list_schedules")]
    NoSchedule {
        /// The given id.
        schedule_id: ScheduleId,
    },
    /// The configuration lacks what a request needs.
    #[error("{what}; set {key}")]
    NotConfigured {
        /// What is missing.
        what: String,
        /// The configuration key to set.
        key: &'static str,
    },
    /// A limit was reached.
    #[error("{what}; wait and call again")]
    Overloaded {
        /// The limit.
        what: String,
        /// When to call again.
        retry_after: Duration,
    },
    /// A parameter is invalid.
    #[error("{0}")]
    InvalidParams(String),
    /// A defect of this program, or a broken disk.
    #[error("internal error: {0}; see the log")]
    Internal(String),
}
