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
