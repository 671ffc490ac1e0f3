//! What can go wrong with a request, in the words of the domain.
//!
//! 1. No text of Redis, no address and no secret is in here unless it was cleaned first.
//!
//! Not here: the numbers that clients see (`crate::rpc::errors`).

use crate::cluster::ids::NodeId;
use std::time::Duration;

/// Why a request was not done. The text says what is wrong and what to do, in one sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// This node is no member.
    #[error("this node is not a member of the cluster; call distributed.join_cluster first")]
    NotJoined,
    /// Redis did not answer; nothing is known to be lost.
    #[error("Redis is unavailable ({detail}); the node keeps retrying, call again")]
    RedisUnavailable {
        /// What was seen, without secrets.
        detail: String,
        /// When another try makes sense.
        retry_after: Duration,
    },
    /// A submission without an id of the client's was sent, and Redis did not answer: a second one under another id would be another
    /// task.
    #[error(
        "Redis did not answer in time, and the task may have been submitted; call again with id {task_id} so that it is submitted only once"
    )]
    Unanswered {
        /// The id that the node made up.
        task_id: String,
    },
    /// The node is being stopped; whatever it held ends with it.
    #[error("this node is stopping; call again after it has restarted, or call another node")]
    Stopping,
    /// Another process holds the node id.
    #[error("node id {node_id} is in use by {holder}; stop that process, choose another id, or join with force")]
    NodeIdInUse {
        /// The id.
        node_id: NodeId,
        /// Who holds it, as far as known.
        holder: String,
    },
    /// These ids are no (live) members.
    #[error("no such member: {}; see distributed.get_cluster_state for the members", .names.join(", "))]
    UnknownNode {
        /// The ids as given.
        names: Vec<String>,
    },
    /// A message is larger than [`crate::cluster::settings::MAX_MESSAGE_BYTES`].
    #[error("message {index} has {bytes} bytes, at most {max} are allowed; send a reference to the content instead")]
    MessageTooLarge {
        /// Its index in the call.
        index: usize,
        /// Its size.
        bytes: usize,
        /// The bound.
        max: usize,
    },
    /// A task's payload, result or error text is larger than it may be.
    #[error("{what} has {bytes} bytes, at most {max} are allowed; pass a reference to the content instead")]
    TooLarge {
        /// Which part.
        what: &'static str,
        /// Its size.
        bytes: usize,
        /// The bound.
        max: usize,
    },
    /// A token does not hold what it was granted for any more.
    #[error("token {token} for {what} {name} is stale; stop the work it protects")]
    StaleToken {
        /// `lease` or `task`.
        what: &'static str,
        /// Its name or id.
        name: String,
        /// The token that was given.
        token: u64,
    },
    /// There is no such task.
    #[error("there is no task {task_id}; it may have ended and expired, see distributed.list_tasks")]
    NoTask {
        /// The id that was given.
        task_id: String,
    },
    /// The configuration lacks what a request needs.
    #[error("{what}; set {key}")]
    NotConfigured {
        /// What is missing.
        what: String,
        /// Which key of the configuration names it.
        key: &'static str,
    },
    /// A bound was reached.
    #[error("{what}; wait and call again")]
    Overloaded {
        /// Which bound.
        what: String,
        /// When another try makes sense.
        retry_after: Duration,
    },
    /// A parameter cannot be taken.
    #[error("{0}")]
    InvalidParams(String),
    /// A defect of this program, or a broken disk.
    #[error("internal error: {0}; see the log")]
    Internal(String),
}
