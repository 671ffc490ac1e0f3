//! Named leases: acquired, waited for, renewed, checked, released; draining a node.
//!
//! 1. A token is visible to everybody and proves nothing: only the member's incarnation, or the process with the presence,
//!    that was granted the lease can renew and release it. Everybody can check a token.
//! 2. A lease is bound to a member's incarnation, or, by a presence of its own, to the process that holds that connection.
//! 3. A call that arrives twice (a lost answer, a retry with its `request_id` or ticket) is granted once.
//!
//! Not here: the rules of the leadership (`leader.rs`); when a waiter asks again (`crate::engine`).

use super::data_set::{Identity, Instance, Numbers, ServerId};
use crate::cluster::ids::{Incarnation, LeaseName, NodeId, Nonce, Term};
use crate::cluster::time::ServerTime;
use std::time::Duration;

/// The shortest and the longest duration of a lease.
pub const LEASE_TTL: (Duration, Duration) = (Duration::from_millis(100), Duration::from_hours(24));

/// The maximum number of waiters for one lease; a further one is refused with [`Refusal::Overloaded`].
pub const MOST_WAITERS: usize = 1000;

/// The maximum length of a `request_id`, in bytes.
pub const LONGEST_REQUEST_ID: usize = 200;

/// The holder of a lease, or a waiter for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The node id; for a process that is not a member, the id of the host's node, or one that it made up.
    pub node_id: NodeId,
    /// The incarnation that the lease is bound to; 0 for a process that is not a member.
    pub incarnation: Incarnation,
    /// The connection that the lease is bound to; `None`: it is bound to the member's incarnation.
    pub presence: Option<Nonce>,
}

impl Owner {
    /// A member, with its incarnation.
    #[must_use]
    pub fn of(instance: Instance) -> Self {
        Self { node_id: instance.node_id, incarnation: instance.incarnation, presence: None }
    }
}

/// How long a caller has seen one server process with one data set, by its own clock. Every holder that proved to an
/// earlier process that it was alive lost that connection before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// The process, as in every [`crate::store::Answer`].
    pub server: ServerId,
    /// The data set, as in every answer to an acquisition.
    pub epoch: String,
    /// The time from the first answer with both until this call is made.
    pub span: Duration,
}

/// A caller's observation that ends another holder's lease, by the caller's own clock; the store checks again that it still
/// holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// The holder's presence was gone for the grace and 5 % more, on the server process where it is registered.
    Presence {
        /// The token of the observed record.
        token: Term,
        /// The presence that was gone.
        presence: String,
    },
    /// The record was unchanged for its TTL and 5 % more.
    Expired {
        /// The token of the observed record.
        token: Term,
        /// The nonce of its last renewal, unchanged.
        nonce: String,
    },
}

/// Asks for a lease. The same call again, with the same ticket, keeps waiting, or returns the grant again.
#[derive(Debug, Clone, PartialEq)]
pub struct Acquire {
    /// The name of the lease.
    pub name: LeaseName,
    /// The holder to be.
    pub owner: Owner,
    /// A new text that identifies this attempt in the queue and in [`crate::store::Notice::Lease`].
    pub ticket: Nonce,
    /// The caller's id for the request, at most [`LONGEST_REQUEST_ID`] bytes, empty for none. Its first grant is returned
    /// again for an hour (or the TTL, if that is longer), even after the lease has ended, but not to a later incarnation of
    /// the node, because the lease ended with the previous one. A process with a presence must renew before it relies on a
    /// repeated grant, because the lease may be bound to another connection.
    pub request_id: String,
    /// The duration, within [`LEASE_TTL`].
    pub ttl: Duration,
    /// Whether to queue if the lease is not free.
    pub wait: bool,
    /// How long an offer to this waiter is valid; also the time in which it will have stopped, as holder, after its
    /// presence is gone.
    pub grace: Duration,
    /// The caller's observation.
    pub claim: Option<Claim>,
    /// How long the caller has observed that, by its own clock. The store ignores the claim unless this covers what the
    /// holder's record promises (its grace or TTL) and 5 % more.
    pub seen_for: Duration,
    /// When the caller states the grace, by its own clock in milliseconds: an older statement changes no later one.
    pub stated: u64,
    /// The server process and the data set that the caller knows. Without it, a lease with a presence is not granted until
    /// the server itself is sure that no holder of an earlier process continues.
    pub served: Option<Served>,
    /// The nonce of the grant, like that of a renewal.
    pub nonce: Nonce,
    /// The highest sequence numbers that the caller has seen; a process that knows only tokens leaves the others 0.
    pub known: Numbers,
    /// The epoch for the data set if it is empty.
    pub fresh_epoch: Nonce,
}

/// Why no lease was granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Another process holds it, or it is reserved for a waiter.
    Held,
    /// The caller's node is draining.
    Draining,
    /// The caller's presence is not subscribed on the called server.
    NoPresence,
    /// A holder of an earlier server process may still continue; ask again after [`AcquireReply::again`].
    Unsettled,
    /// The lease has reached [`MOST_WAITERS`].
    Overloaded,
    /// The caller is not the incarnation in the member table.
    NoMember(Identity),
    /// The leadership is not granted by acquisition.
    Leadership,
}

/// The result of an [`Acquire`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acquired {
    /// The caller holds the lease.
    Granted {
        /// The fencing token.
        token: Term,
        /// When the lease expires unless it is renewed; for a repeated grant, the first value.
        expires_at: ServerTime,
        /// Whether this grant is repeated.
        again: bool,
    },
    /// The caller waits; a [`crate::store::Notice::Lease`] on its presence notifies it.
    Queued {
        /// The number of waiters before it. The first waiter watches a holder with a presence.
        before: u64,
    },
    /// The caller neither holds the lease nor waits for it.
    Refused(Refusal),
}

/// A lease's record in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseRecord {
    /// The holder; `None`: the lease is vacant.
    pub holder: Option<Owner>,
    /// The token of the last grant.
    pub token: Term,
    /// When the lease expires, or expired.
    pub expires_at: ServerTime,
    /// The duration that was asked for.
    pub ttl: Duration,
    /// A new text with every renewal.
    pub nonce: String,
    /// The time in which its holder has stopped after its presence is gone.
    pub grace: Duration,
    /// Whether the holder's presence is subscribed on the answering server.
    pub present: bool,
    /// Whether this server process granted or confirmed it.
    pub same_server: bool,
    /// The ticket of the waiter for which a vacant lease is reserved.
    pub offered_to: Option<String>,
    /// The number of waiters.
    pub waiters: u64,
}

/// The answer to [`Acquire`].
#[derive(Debug, Clone, PartialEq)]
pub struct AcquireReply {
    /// The server's time.
    pub now: ServerTime,
    /// The epoch of the data set.
    pub epoch: String,
    /// The token counter after the call.
    pub token: u64,
    /// The result.
    pub outcome: Acquired,
    /// When it may make sense to ask again without a notification; `None` for a holder, and if only a notification or a
    /// claim helps.
    pub again: Option<Duration>,
    /// The record after the call.
    pub record: Option<LeaseRecord>,
    /// The cluster's grace, if the data set has it.
    pub grace: Option<Duration>,
}

/// Renews a lease.
#[derive(Debug, Clone, PartialEq)]
pub struct Renew {
    /// The name of the lease.
    pub name: LeaseName,
    /// The token that was granted.
    pub token: Term,
    /// The duration from now; `None`: as before.
    pub ttl: Option<Duration>,
    /// The nonce of this renewal.
    pub nonce: Nonce,
    /// The caller. For a lease with a presence: with the connection that it is bound to from now on, which must be
    /// subscribed on the called server.
    pub owner: Owner,
    /// The ticket of the granted attempt: it proves that the lease belongs to the process, over another connection than
    /// the record names.
    pub ticket: Option<Nonce>,
    /// Whether the owner holds the lease now, by its own clock. Only such a holder keeps its lease across a change of
    /// the server process, and gets it back with its token after a loss of data.
    pub holds: bool,
    /// The time in which the holder stops after its presence is gone, from this renewal on.
    pub grace: Duration,
    /// When it states that, by its own clock in milliseconds.
    pub stated: u64,
}

/// Releases a lease.
#[derive(Debug, Clone, PartialEq)]
pub struct Release {
    /// The name of the lease.
    pub name: LeaseName,
    /// The token that was granted.
    pub token: Term,
    /// The caller.
    pub owner: Owner,
    /// As in [`Renew`].
    pub ticket: Option<Nonce>,
}

/// Asks whether a token belongs to the lease, and the lease has not expired. Changes nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// The name of the lease.
    pub name: LeaseName,
    /// The token to check.
    pub token: Term,
}

/// A waiter gives up.
#[derive(Debug, Clone, PartialEq)]
pub struct Forget {
    /// The name of the lease.
    pub name: LeaseName,
    /// The waiter's ticket.
    pub ticket: Nonce,
}

/// Withdraws an acquisition that was given up without an answer, however late that arrives: its grant ends, its place in
/// the queue is removed, and for ten minutes it is granted nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Withdraw {
    /// The name of the lease.
    pub name: LeaseName,
    /// The caller of the acquisition.
    pub owner: Owner,
    /// The ticket of the attempt.
    pub ticket: Nonce,
    /// The request id of the acquisition.
    pub request_id: String,
}

/// Reads a lease's record. Changes nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct WatchLease {
    /// The name of the lease.
    pub name: LeaseName,
}

/// A call about a lease.
#[derive(Debug, Clone, PartialEq)]
pub enum LeaseCall {
    /// See [`Acquire`].
    Acquire(Acquire),
    /// See [`Renew`].
    Renew(Renew),
    /// See [`Release`].
    Release(Release),
    /// See [`Check`].
    Check(Check),
    /// See [`Forget`].
    Forget(Forget),
    /// See [`Withdraw`].
    Withdraw(Withdraw),
    /// See [`WatchLease`].
    Watch(WatchLease),
}

impl LeaseCall {
    /// The name of the lease.
    #[must_use]
    pub fn name(&self) -> &LeaseName {
        match self {
            Self::Acquire(call) => &call.name,
            Self::Renew(call) => &call.name,
            Self::Release(call) => &call.name,
            Self::Check(call) => &call.name,
            Self::Forget(call) => &call.name,
            Self::Withdraw(call) => &call.name,
            Self::Watch(call) => &call.name,
        }
    }
}

/// The result of a [`Renew`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewed {
    /// The lease was renewed until then.
    Until(ServerTime),
    /// The token is stale, or the lease does not belong to the caller.
    Stale,
    /// The presence is not subscribed on the called server; nothing changed.
    NoPresence,
}

/// The answer to [`Renew`].
#[derive(Debug, Clone, PartialEq)]
pub struct Renewal {
    /// The server's time.
    pub now: ServerTime,
    /// The result.
    pub outcome: Renewed,
    /// The cluster's grace, if the data set has it.
    pub grace: Option<Duration>,
}

/// The answer to [`WatchLease`].
#[derive(Debug, Clone, PartialEq)]
pub struct Watched {
    /// The server's time.
    pub now: ServerTime,
    /// The epoch of the data set.
    pub epoch: String,
    /// The record.
    pub record: Option<LeaseRecord>,
}

/// The answer to a [`LeaseCall`].
#[derive(Debug, Clone, PartialEq)]
pub enum LeaseReply {
    /// To [`Acquire`].
    Acquired(Box<AcquireReply>),
    /// To [`Renew`].
    Renewed(Renewal),
    /// To [`Release`]; a repeated release by the same caller gets the same answer until another process gets the lease.
    Released {
        /// Whether the token belonged to the lease, and the lease to the caller.
        released: bool,
    },
    /// To [`Check`].
    Checked {
        /// Whether the token holds the lease.
        valid: bool,
    },
    /// To [`Forget`].
    Forgotten {
        /// Whether that ticket was in the queue.
        waited: bool,
    },
    /// To [`Withdraw`].
    Withdrawn {
        /// Whether it had been granted the lease, which has ended now.
        granted: bool,
    },
    /// To [`WatchLease`].
    Watched(Watched),
}

/// States whether a node is draining.
#[derive(Debug, Clone, PartialEq)]
pub struct Drain {
    /// The node and its incarnation.
    pub instance: Instance,
    /// Whether it is draining.
    pub enabled: bool,
    /// The revision of the node's statement about itself; see [`super::Join::revision`].
    pub revision: u64,
}

/// The answer to [`Drain`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrainReply {
    /// Whether the store knows the caller.
    pub identity: Identity,
    /// The server's time.
    pub now: ServerTime,
    /// Whether leadership was given up.
    pub resigned: bool,
    /// The number of tasks that this node runs.
    pub running_tasks: u64,
    /// The number of leases held under this node's id.
    pub leases: u64,
}
