//! The cluster's shared state, in the terms of `crate::cluster::protocol`.
//!
//! 1. One [`Store::call`] is one atomic transition; a store never sends it twice.
//! 2. Redis's texts, types and errors stay inside this module.
//!
//! Two stores exist: `redis` for clusters, and one in memory for the simulator (in `testkit`, no part of the program); one contract suite
//! runs on both.

pub mod configured_history;
pub mod history;
mod meter;
pub mod mongodb;
pub mod redis;

pub use meter::{CALLS, Ended, Meter};

use crate::cluster::event::ClusterEvent;
use crate::cluster::ids::{EventSeq, MessageSeq, Nonce};
use crate::cluster::protocol::{Call, Entry, Fault, Reply, ServerId};

/// A reply, and the server process that gave it.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer<R = Reply> {
    /// The reply.
    pub reply: R,
    /// The server.
    pub server: ServerId,
}

/// A notice on the cluster's channel, or on the channel of one presence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// To all nodes: send a heartbeat at once, because a node found an empty data set or took an id over.
    Register,
    /// To all nodes: the leader must hand over.
    HandOver,
    /// To all nodes: a schedule's slot is the earliest of all now; the leader must look.
    Schedule,
    /// To one presence: the waiter with this ticket must ask again, because the lease is reserved for it or it is first in the queue.
    Lease(Nonce),
    /// To one presence: the node is draining, so the lease bound to this presence must be released.
    Drain,
}

/// The store of the cluster's state.
pub trait Store: Send + Sync + 'static {
    /// Performs one transition.
    ///
    /// # Errors
    /// [`Fault::Unavailable`] leaves it unknown whether the transition happened; after any other fault it did not.
    fn call(&self, call: Call) -> impl Future<Output = Result<Answer, Fault>> + Send;

    /// The stored events after `after`, at most `count`, in order.
    ///
    /// # Errors
    /// [`Fault`] when the store did not answer.
    fn events(&self, after: EventSeq, count: usize) -> impl Future<Output = Result<Vec<ClusterEvent>, Fault>> + Send;

    /// The stored entries with a message after `after`, at most `count`, in order.
    ///
    /// # Errors
    /// [`Fault`] when the store did not answer.
    fn messages(&self, after: MessageSeq, count: usize) -> impl Future<Output = Result<Vec<Entry>, Fault>> + Send;
}
