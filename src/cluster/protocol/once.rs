//! What runs once for a key.
//!
//! Not here: named leases (`lease.rs`).

use crate::cluster::ids::{NodeId, Nonce};
use crate::cluster::time::ServerTime;
use std::time::Duration;

/// The longest time for which something may have run once; the shortest is a millisecond.
pub const LONGEST_ONCE: Duration = Duration::from_hours(24 * 30);

/// How many keys one call of [`Once`] may hold, and how long each may be, in bytes; none may be empty.
pub const ONCE_KEYS: (usize, usize) = (10_000, 512);

/// Grants each key to one caller until its time has passed.
#[derive(Debug, Clone, PartialEq)]
pub struct Once {
    /// Who asks; no membership is needed.
    pub by: NodeId,
    /// The caller's own name for the request, at most [`super::LONGEST_REQUEST_ID`] bytes, empty for none: a repeated one is
    /// granted again.
    pub request_id: String,
    /// For how long a key stays granted, a millisecond to [`LONGEST_ONCE`].
    pub ttl: Duration,
    /// The keys, within [`ONCE_KEYS`].
    pub keys: Vec<String>,
    /// Instead of asking for the keys, frees those that this very request was granted: what they were for never began. `granted` says
    /// which ones; a key that is free or another request's stays as it is.
    pub give_back: bool,
    /// Which call of its process this is, where the process withdraws calls that it gave up without an answer. Giving back with it
    /// is such a withdrawal: for ten minutes, neither that call nor an earlier one with this request id is granted a free key.
    pub attempt: Option<Attempt>,
    /// What the caller knows of the server's clock, so that a jump of it ends no key early.
    pub seen: Option<ClockSeen>,
}

/// A jump of the server's clock that is shorter is none, but a slow network.
pub const JUMP: Duration = Duration::from_secs(15);

/// By how much longer than its time a key is kept, at most, so that it outlives a jump of the server's clock.
pub const KEPT_LONGER: Duration = Duration::from_hours(2);

/// What a node knows of the server's clock by its own one, which does not jump.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClockSeen {
    /// What the server's clock should show when the call is made.
    pub expected: ServerTime,
    /// By how much it jumped forward, and when it was first seen after that, by itself.
    pub jumps: Vec<(ServerTime, Duration)>,
}

/// Tells the calls of one process apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The process.
    pub process: Nonce,
    /// Rises with each call of the process. A call that is sent again keeps its number.
    pub number: u64,
    /// An earlier call with the same request id is under way or being withdrawn: that withdrawal must not take back what this call is
    /// granted.
    pub supersedes: bool,
}

/// What came of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnceGrant {
    /// Whether it is the caller's.
    pub granted: bool,
    /// Whose it is.
    pub by: NodeId,
    /// When it was granted.
    pub at: ServerTime,
}
