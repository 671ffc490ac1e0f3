//! Named leases: asked for, waited for, renewed, checked, given up; draining a node.
//!
//! 1. A token is shown to everybody and proves nothing: only what was granted the lease renews and releases it, the member's life or the
//!    process with the presence. Everybody may check a token.
//! 2. A lease is bound to a member's life, or, by a presence of its own, to the process that holds that connection.
//! 3. A call that came twice (a lost answer, a retry with its `request_id` or ticket) is granted once.
//!
//! Not here: the leader's own rules (`leader.rs`); when a waiter asks again (`crate::engine`).

use super::data_set::{Identity, Instance, Numbers, ServerId};
use crate::cluster::ids::{Incarnation, LeaseName, NodeId, Nonce, Term};
use crate::cluster::time::ServerTime;
use std::time::Duration;

/// The shortest and the longest time that a lease may be asked for.
pub const LEASE_TTL: (Duration, Duration) = (Duration::from_millis(100), Duration::from_hours(24));

/// How many may wait for one lease; one more is refused with [`Refusal::Overloaded`].
pub const MOST_WAITERS: usize = 1000;

/// How long a `request_id` may be, in bytes.
pub const LONGEST_REQUEST_ID: usize = 200;

/// Who holds a lease or waits for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The node's id; of a process that is no member, the id of the host's node, or one that it made up.
    pub node_id: NodeId,
    /// The life that the lease is bound to; 0 for a process that is no member.
    pub incarnation: Incarnation,
    /// The connection that the lease is bound to; `None`: to the member's life.
    pub presence: Option<Nonce>,
}

impl Owner {
    /// A member, for its life.
    #[must_use]
    pub fn of(instance: Instance) -> Self {
        Self { node_id: instance.node_id, incarnation: instance.incarnation, presence: None }
    }
}

/// For how long a caller has seen one server process with one data set, by its own clock. Every holder that proved its life
/// to an earlier process lost that connection before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// The process, as each [`crate::store::Answer`] names it.
    pub server: ServerId,
    /// The data set, as each answer to an acquisition names it.
    pub epoch: String,
    /// From the first answer that named both until this call is made.
    pub span: Duration,
}

/// What a caller saw that ends another's lease, by its own clock; the store checks again that it is still so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// The holder's presence was seen gone for the grace and 5 % more, on the server process where it is registered.
    Presence {
        /// The token of the record that was seen.
        token: Term,
        /// The presence that was gone.
        presence: String,
    },
    /// The record was unchanged for its TTL and 5 % more.
    Expired {
        /// The token of the record that was seen.
        token: Term,
        /// The nonce of its last renewal, unchanged.
        nonce: String,
    },
}

/// Asks for a lease. The same call again, with the same ticket, goes on waiting, or tells once more what was granted.
#[derive(Debug, Clone, PartialEq)]
pub struct Acquire {
    /// Which.
    pub name: LeaseName,
    /// For whom.
    pub owner: Owner,
    /// A fresh text that names this attempt in the queue and in [`crate::store::Notice::Lease`].
    pub ticket: Nonce,
    /// The caller's own name for the request, at most [`LONGEST_REQUEST_ID`] bytes, empty for none: its first grant is told
    /// again for an hour (or the TTL, if that is longer), also after the lease has ended, but not to a later life of the node,
    /// with whose predecessor it ended. Whoever asks by a presence renews with it before it counts on what was told again, for
    /// the lease may be bound to another connection.
    pub request_id: String,
    /// For how long, within [`LEASE_TTL`].
    pub ttl: Duration,
    /// Whether to queue when it is not free.
    pub wait: bool,
    /// How long an offer to this waiter stands, and by when it will have stopped as the holder once its presence is gone.
    pub grace: Duration,
    /// What the caller has seen.
    pub claim: Option<Claim>,
    /// For how long it has seen that, by its own clock. The store ignores the claim unless that covers what the holder's record
    /// promises (its grace or TTL) and 5 % more.
    pub seen_for: Duration,
    /// When it asks, by its own clock in milliseconds: an older statement of the grace changes no later one.
    pub stated: u64,
    /// The server process and the data set that the caller knows; without it, a lease that is bound to a presence waits until
    /// the server itself is sure that no holder of an earlier process goes on.
    pub served: Option<Served>,
    /// The nonce of the grant, as of a renewal.
    pub nonce: Nonce,
    /// The highest numbers that the caller has seen; a process that knows only tokens leaves the others 0.
    pub known: Numbers,
    /// The name of the data set, should it be empty.
    pub fresh_epoch: Nonce,
}

/// Why nothing was granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Another holds it, or it is kept for a waiter.
    Held,
    /// The caller's node takes no new work.
    Draining,
    /// The caller's presence is not subscribed on the server that was asked.
    NoPresence,
    /// A holder of an earlier server process may go on yet; ask again after [`AcquireReply::again`].
    Unsettled,
    /// As many wait as may.
    Overloaded,
    /// The caller is not the life that the member table knows.
    NoMember(Identity),
    /// The leadership is not granted to those who ask.
    Leadership,
}

/// What came of an [`Acquire`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acquired {
    /// The lease is the caller's.
    Granted {
        /// The fencing token.
        token: Term,
        /// When the lease ends unless it is renewed; of a grant that is told again, as it was told first.
        expires_at: ServerTime,
        /// Whether it is told again.
        again: bool,
    },
    /// The caller waits; a [`crate::store::Notice::Lease`] on its presence calls it.
    Queued {
        /// How many wait before it. The first one watches a holder that is bound to a presence.
        before: u64,
    },
    /// The caller does not wait.
    Refused(Refusal),
}

/// A lease's record as the store holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseRecord {
    /// Who holds it; `None` when it is vacant.
    pub holder: Option<Owner>,
    /// The token of the last grant.
    pub token: Term,
    /// When the lease ends, or ended.
    pub expires_at: ServerTime,
    /// For how long it was asked for.
    pub ttl: Duration,
    /// A fresh text at every renewal.
    pub nonce: String,
    /// By when its holder has stopped once its presence is gone.
    pub grace: Duration,
    /// Whether the holder's presence is subscribed on the server that answers.
    pub present: bool,
    /// Whether this server process granted or confirmed it.
    pub same_server: bool,
    /// The waiter's ticket for which a vacant lease is kept.
    pub offered_to: Option<String>,
    /// How many wait.
    pub waiters: u64,
}

/// The answer to [`Acquire`].
#[derive(Debug, Clone, PartialEq)]
pub struct AcquireReply {
    /// Server time.
    pub now: ServerTime,
    /// The data set.
    pub epoch: String,
    /// The token counter after the call.
    pub token: u64,
    /// What came of it.
    pub outcome: Acquired,
    /// When asking again may pay though nobody calls; `None` for a holder of the lease, and where only a call or a claim helps.
    pub again: Option<Duration>,
    /// The record after the call.
    pub record: Option<LeaseRecord>,
    /// The cluster's grace, where the data set says.
    pub grace: Option<Duration>,
}

/// What is asked of a lease.
#[derive(Debug, Clone, PartialEq)]
pub enum LeaseCall {
    /// See [`Acquire`].
    Acquire(Acquire),
    /// Moves the lease's end.
    Renew {
        /// Which.
        name: LeaseName,
        /// The token that was granted.
        token: Term,
        /// For how long from now; `None`: as before.
        ttl: Option<Duration>,
        /// The nonce of this renewal.
        nonce: Nonce,
        /// Who renews. Of a lease that is bound to a presence: with the connection that it is bound to from now on, which
        /// must be subscribed on the server that is asked.
        owner: Owner,
        /// The ticket of the attempt that was granted, by which a process proves that the lease is its own over another connection
        /// than the record names.
        ticket: Option<Nonce>,
        /// Whether the owner holds the lease at this instant by its own clock. Only such a holder keeps its lease across a
        /// change of the server process, and gets it back with its token where the data were lost.
        holds: bool,
        /// By when the holder stops once its presence is gone, from this renewal on.
        grace: Duration,
        /// When it states that, by its own clock in milliseconds.
        stated: u64,
    },
    /// Gives the lease up.
    Release {
        /// Which.
        name: LeaseName,
        /// The token that was granted.
        token: Term,
        /// Who gives it up.
        owner: Owner,
        /// As in [`LeaseCall::Renew`].
        ticket: Option<Nonce>,
    },
    /// Asks whether a token is the lease's, and the lease not over. Changes nothing.
    Check {
        /// Which.
        name: LeaseName,
        /// The token.
        token: Term,
    },
    /// A waiter gives up.
    Forget {
        /// Which.
        name: LeaseName,
        /// The waiter's ticket.
        ticket: Nonce,
    },
    /// Takes back an acquisition that was given up without an answer, however late it arrives: what it was granted ends, its place
    /// in the queue is gone, and for ten minutes it is granted nothing.
    Withdraw {
        /// Which.
        name: LeaseName,
        /// Who asked.
        owner: Owner,
        /// The attempt's ticket.
        ticket: Nonce,
        /// The request id that it was made with.
        request_id: String,
    },
    /// Looks at a lease. Changes nothing.
    Watch {
        /// Which.
        name: LeaseName,
    },
}

impl LeaseCall {
    /// The lease that the call is about.
    #[must_use]
    pub fn name(&self) -> &LeaseName {
        match self {
            Self::Acquire(acquire) => &acquire.name,
            Self::Renew { name, .. }
            | Self::Release { name, .. }
            | Self::Check { name, .. }
            | Self::Forget { name, .. }
            | Self::Withdraw { name, .. }
            | Self::Watch { name } => name,
        }
    }
}

/// What came of a [`LeaseCall::Renew`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewed {
    /// The lease goes on until then.
    Until(ServerTime),
    /// The token is not the lease's any more, or the lease is not the caller's.
    Stale,
    /// The presence is not subscribed on the server that was asked; nothing changed.
    NoPresence,
}

/// The answer of the same name as its [`LeaseCall`].
#[derive(Debug, Clone, PartialEq)]
pub enum LeaseReply {
    /// To [`LeaseCall::Acquire`].
    Acquired(Box<AcquireReply>),
    /// To [`LeaseCall::Renew`].
    Renewed {
        /// Server time.
        now: ServerTime,
        /// What came of it.
        outcome: Renewed,
        /// The cluster's grace, where the data set says.
        grace: Option<Duration>,
    },
    /// To [`LeaseCall::Release`]; a second release by the same caller is answered alike until somebody else gets the lease.
    Released {
        /// Whether it was the lease's token, and the lease the caller's.
        released: bool,
    },
    /// To [`LeaseCall::Check`].
    Checked {
        /// Whether the token is the lease's.
        valid: bool,
    },
    /// To [`LeaseCall::Forget`].
    Forgotten {
        /// Whether that ticket waited.
        waited: bool,
    },
    /// To [`LeaseCall::Withdraw`].
    Withdrawn {
        /// Whether it had been granted the lease, which ended now.
        granted: bool,
    },
    /// To [`LeaseCall::Watch`].
    Watched {
        /// Server time.
        now: ServerTime,
        /// The data set.
        epoch: String,
        /// The record.
        record: Option<LeaseRecord>,
    },
}

/// Says whether a node takes new work.
#[derive(Debug, Clone, PartialEq)]
pub struct Drain {
    /// Whose life.
    pub instance: Instance,
    /// Whether it shall drain.
    pub enabled: bool,
    /// Which of the node's statements about itself this is; see [`super::Join::revision`].
    pub revision: u64,
}

/// The answer to [`Drain`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrainReply {
    /// Whether the caller is known.
    pub identity: Identity,
    /// Server time.
    pub now: ServerTime,
    /// Whether a leadership was given up.
    pub resigned: bool,
    /// Tasks that this node runs.
    pub running_tasks: u64,
    /// Leases that are held under this node's id.
    pub leases: u64,
}
