//! `run_once`: a key is granted to one caller.
//!
//! Not here: named leases (`lease.rs`).

use crate::cluster::ids::{Incarnation, NodeId};
use crate::cluster::time::ServerTime;
use std::time::Duration;

/// The longest time for which a key is granted; the shortest is one millisecond.
pub const LONGEST_ONCE: Duration = Duration::from_hours(24 * 30);

/// The maximum number of keys of one call of [`Once`], and their maximum length in bytes; an empty key is not allowed.
pub const ONCE_KEYS: (usize, usize) = (10_000, 512);

/// Grants each key to one caller until its time has passed.
#[derive(Debug, Clone, PartialEq)]
pub struct Once {
    /// The caller; no membership is needed.
    pub by: NodeId,
    /// The caller's id for the request, at most [`super::LONGEST_REQUEST_ID`] bytes, empty for none: a repeated request
    /// gets its grants again.
    pub request_id: String,
    /// How long a key stays granted, one millisecond to [`LONGEST_ONCE`].
    pub ttl: Duration,
    /// The keys, within [`ONCE_KEYS`].
    pub keys: Vec<String>,
    /// Instead of granting keys, frees those that this request was granted, because their work never began. `granted` says
    /// which ones; a key that is free, or was granted to another request, does not change.
    pub give_back: bool,
    /// The place of this call in the order of its node's, if that node withdraws calls without an answer. Giving back with it is such a withdrawal:
    /// for ten minutes, neither that call nor an earlier one with this request id is granted a free key.
    pub attempt: Option<Attempt>,
    /// What the caller knows about the server's clock, so that a jump of that clock ends no key early.
    pub seen: Option<ClockSeen>,
}

/// The smallest jump of the server's clock that counts; a shorter one may be a slow network.
pub const JUMP: Duration = Duration::from_secs(15);

/// The maximum time for which a key is kept beyond its duration, so that it outlives a jump of the server's clock.
pub const KEPT_LONGER: Duration = Duration::from_hours(2);

/// What a node knows about the server's clock from its own clock, which does not jump.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClockSeen {
    /// The time that the server's clock should show when the call is made.
    pub expected: ServerTime,
    /// The jumps forward that this node saw: the server's time when each was first seen, and its size.
    pub jumps: Vec<(ServerTime, Duration)>,
}

/// The order of a node's calls: by incarnation, then by number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The incarnation of the caller.
    pub incarnation: Incarnation,
    /// Rises with each call of the process. A call that is sent again keeps its number.
    pub number: u64,
    /// Whether an earlier call with the same request id may be under way or being withdrawn, by this process or an earlier
    /// one: that withdrawal must not take back the grants of this call.
    pub supersedes: bool,
}

/// The result for one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnceGrant {
    /// Whether the key was granted to the caller.
    pub granted: bool,
    /// The node that the key was granted to.
    pub by: NodeId,
    /// When it was granted.
    pub at: ServerTime,
}
