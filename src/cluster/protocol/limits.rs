//! Limits across the cluster: a rate of calls (a token bucket), and how many may do something at once (slots).
//!
//! 1. A rate is counted in cluster time, which never goes back and does not follow jumps of the server's clock: such a jump
//!    neither stops a bucket nor fills it beyond its burst.
//! 2. A caller that waits for permits gets them at once, for a later time: callers are served in the order in which they asked.
//! 3. A slot is bound to a member's incarnation and ends with it, when it expires, or when it is released. Its token is
//!    visible to everybody and proves nothing.
//! 4. A call that arrives twice with its `request_id` or ticket is granted once.
//!
//! Not here: when a caller goes on (`crate::engine`).

use super::data_set::{Identity, Instance};
use crate::cluster::ids::{LimitName, Nonce, TaskToken};
use crate::cluster::time::ServerTime;
use std::time::Duration;

/// The maximum of `rate`, `burst` and `permits`.
pub const MOST_PERMITS: u64 = 1_000_000;

/// The longest time that a rate can refer to: 31 days. The shortest is a millisecond.
pub const LONGEST_PERIOD: Duration = Duration::from_hours(24 * 31);

/// The maximum number of holders of one name.
pub const MOST_SLOTS: u64 = 10_000;

/// The maximum number of waiters for the slots of one name.
pub const MOST_SLOT_WAITERS: usize = 1000;

/// The maximum number of names of each sort that are in use at a time.
pub const MOST_LIMITS: usize = 10_000;

/// Takes permits from a token bucket, now or for a later time.
#[derive(Debug, Clone, PartialEq)]
pub struct TakePermits {
    /// The caller.
    pub instance: Instance,
    /// The name of the limit.
    pub name: LimitName,
    /// How many permits: 1 to `burst`.
    pub permits: u64,
    /// How many permits come back in `per`: 1 to [`MOST_PERMITS`].
    pub rate: u64,
    /// See `rate`; one millisecond to [`LONGEST_PERIOD`].
    pub per: Duration,
    /// How many permits the bucket holds: 1 to [`MOST_PERMITS`].
    pub burst: u64,
    /// How late the permits may become valid.
    pub wait: Duration,
    /// The caller's id for the request; a repeated request gets its first permits again.
    pub request_id: Option<String>,
}

/// The answer to [`TakePermits`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PermitsReply {
    /// Whether the store knows the caller; otherwise nothing happened.
    pub identity: Identity,
    /// The outcome.
    pub outcome: Permits,
    /// How many permits are left now.
    pub remaining: u64,
}

/// The outcome of [`TakePermits`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permits {
    /// The caller has them, valid from `at`, which is `wait` after the transition.
    Granted {
        /// On the server's clock.
        at: ServerTime,
        /// Zero: they are valid now.
        wait: Duration,
    },
    /// There are not enough within the time that the caller would wait. Nothing was taken.
    Refused {
        /// After this time there are enough, if nobody else takes any.
        retry_after: Duration,
    },
    /// Too many names are in use.
    Overloaded,
}

/// Asks for one of several slots, or for the place in their queue.
#[derive(Debug, Clone, PartialEq)]
pub struct AcquireSlot {
    /// The caller.
    pub instance: Instance,
    /// The name of the semaphore.
    pub name: LimitName,
    /// The caller's place in the queue; a repeated call brings the same one.
    pub ticket: Nonce,
    /// The id of the request: a repeated request gets its first grant again.
    pub request_id: String,
    /// How many may hold a slot at once: 1 to [`MOST_SLOTS`].
    pub slots: u64,
    /// How long the slot lasts without a renewal, within [`super::LEASE_TTL`].
    pub ttl: Duration,
    /// Whether the caller waits in the queue.
    pub wait: bool,
    /// How long a free slot is reserved for this caller once it is called.
    pub grace: Duration,
}

/// The answer to [`AcquireSlot`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotReply {
    /// Whether the store knows the caller; otherwise nothing happened.
    pub identity: Identity,
    /// The outcome.
    pub outcome: Slot,
    /// How many hold a slot now.
    pub in_use: u64,
}

/// The outcome of [`AcquireSlot`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// The caller has a slot.
    Granted {
        /// The fencing token.
        token: TaskToken,
        /// When it expires unless it is renewed.
        expires_at: ServerTime,
    },
    /// The caller waits, or would have to.
    Full {
        /// After which time asking again may help, without a call.
        again: Duration,
    },
    /// The caller drains, or gave this call up: it gets none.
    Barred,
    /// Too many wait, or too many names are in use.
    Overloaded,
}

/// Extends a slot.
#[derive(Debug, Clone, PartialEq)]
pub struct RenewSlot {
    /// The holder.
    pub instance: Instance,
    /// The name of the semaphore.
    pub name: LimitName,
    /// The token of the slot.
    pub token: TaskToken,
    /// How long it lasts from now; `None`: as long as before.
    pub ttl: Option<Duration>,
}

/// Ends a slot.
#[derive(Debug, Clone, PartialEq)]
pub struct ReleaseSlot {
    /// The holder.
    pub instance: Instance,
    /// The name of the semaphore.
    pub name: LimitName,
    /// The token of the slot.
    pub token: TaskToken,
}

/// Gives a request for a slot up, however late it arrives: its place in the queue, and the grant that nobody received.
#[derive(Debug, Clone, PartialEq)]
pub struct ForgetSlot {
    /// The caller of the request.
    pub instance: Instance,
    /// The name of the semaphore.
    pub name: LimitName,
    /// The ticket of the request.
    pub ticket: Nonce,
    /// The id of the request.
    pub request_id: String,
}

/// A transition of limits.
#[derive(Debug, Clone, PartialEq)]
pub enum LimitCall {
    /// See [`TakePermits`].
    Take(TakePermits),
    /// See [`AcquireSlot`].
    Acquire(AcquireSlot),
    /// See [`RenewSlot`].
    Renew(RenewSlot),
    /// See [`ReleaseSlot`].
    Release(ReleaseSlot),
    /// See [`ForgetSlot`].
    Forget(ForgetSlot),
}

/// The store's answer to a [`LimitCall`].
#[derive(Debug, Clone, PartialEq)]
pub enum LimitReply {
    /// To [`TakePermits`].
    Taken(PermitsReply),
    /// To [`AcquireSlot`].
    Slot(SlotReply),
    /// To [`RenewSlot`]: when it expires now; `None`: the token is stale.
    Renewed(Option<ServerTime>),
    /// To [`ReleaseSlot`]: how many hold a slot now; `None`: the token is stale.
    Released(Option<u64>),
    /// To [`ForgetSlot`].
    Forgotten,
}
