//! What one run of a heartbeat leaves to the next.
//!
//! Not here: the file (`crate::engine::oneshot::state`).

use crate::cluster::ids::{Incarnation, Nonce, Term};
use crate::cluster::protocol::Numbers;
use crate::cluster::time::Moment;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What one run leaves to the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    /// The incarnation of the node; it stays the same from run to run.
    pub incarnation: Incarnation,
    /// The name of the "process" that the runs together represent.
    #[serde(rename = "proc")]
    pub process: Nonce,
    /// The leadership that this node holds, if any.
    #[serde(default)]
    pub lease: Option<HeldLease>,
    /// The highest sequence numbers seen.
    #[serde(default)]
    pub numbers: Numbers,
    /// The leader's record as it was last seen, and since when; `None`: there was none.
    #[serde(default)]
    pub observed: Option<ObservedRecord>,
}

/// A leadership, and when it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldLease {
    /// The term.
    pub term: Term,
    /// The end on the boot clock, in milliseconds.
    pub deadline_ms: u64,
}

impl HeldLease {
    /// The end.
    #[must_use]
    pub fn deadline(self) -> Moment {
        Moment(Duration::from_millis(self.deadline_ms))
    }
}

/// A leader's record that has been seen unchanged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedRecord {
    /// The term.
    pub term: Term,
    /// The nonce of its last renewal.
    pub nonce: Nonce,
    /// When it was first seen like this, on the boot clock, in milliseconds.
    pub since_ms: u64,
}
