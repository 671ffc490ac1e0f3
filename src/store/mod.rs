//! The cluster's shared state, in the verbs of `crate::cluster::protocol`.
//!
//! 1. One [`Store::call`] is one atomic transition; it is never sent twice by a store.
//! 2. Nothing of Redis (its texts, types, errors) leaves this module.
//!
//! Two stores exist: `redis` for clusters, `memory` for the simulator (cargo feature `memory-store`); one contract suite runs on both.

pub mod configured_history;
pub mod history;
#[cfg(feature = "memory-store")]
pub mod memory;
mod meter;
pub mod mongodb;
pub mod redis;

pub use meter::{CALLS, Ended, Meter, name_of};

use crate::cluster::event::ClusterEvent;
use crate::cluster::ids::{EventSeq, MessageSeq, Nonce};
use crate::cluster::protocol::{Call, Entry, Fault, Reply, ServerId};

/// A reply, and which server process gave it.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The reply.
    pub reply: Reply,
    /// The server.
    pub server: ServerId,
}

/// What is called on the cluster's channel, or on one presence's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// To everybody: somebody found an empty data set, or took an id over: beat at once.
    Register,
    /// To everybody: the leader shall make room.
    HandOver,
    /// To one presence: the waiter with this ticket shall ask again, because the lease is kept for it, or it is the first now.
    Lease(Nonce),
    /// To one presence: the node takes no new work, so the lease that is bound to this presence shall be given up.
    Drain,
}

/// Where the cluster's state is kept.
pub trait Store: Send + Sync + 'static {
    /// Makes one transition.
    ///
    /// # Errors
    /// [`Fault::Unavailable`] leaves it unknown whether the transition happened; after any other fault it did not.
    fn call(&self, call: Call) -> impl Future<Output = Result<Answer, Fault>> + Send;

    /// The kept events behind `after`, at most `count`, in order.
    ///
    /// # Errors
    /// [`Fault`] when the store did not answer.
    fn events(&self, after: EventSeq, count: usize) -> impl Future<Output = Result<Vec<ClusterEvent>, Fault>> + Send;

    /// The kept entries that hold a message behind `after`, at most `count`, in order.
    ///
    /// # Errors
    /// [`Fault`] when the store did not answer.
    fn messages(&self, after: MessageSeq, count: usize) -> impl Future<Output = Result<Vec<Entry>, Fault>> + Send;
}
