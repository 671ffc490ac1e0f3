//! The contents of the store that every answer shows: the data set, its sequence numbers, changes of the member table.
//!
//! Not here: the transitions (listed in `mod.rs`).

use crate::cluster::ids::{EventSeq, Incarnation, MessageSeq, NodeId};
use crate::cluster::members::member::Member;
use crate::cluster::settings::{Timing, Versioned};
use serde::{Deserialize, Serialize};

/// The identity of a server process; the same data on another server has another identity.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct ServerId(pub String);

/// The highest sequence numbers of a data set, or the highest that a node has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Numbers {
    /// The counter of terms, lease tokens and incarnations.
    pub token: u64,
    /// The last event.
    pub event: u64,
    /// The last message.
    pub message: u64,
}

impl Numbers {
    /// The higher of each number.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self {
            token: self.token.max(other.token),
            event: self.event.max(other.event),
            message: self.message.max(other.message),
        }
    }
}

/// The incarnation of a member that makes a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// The node id.
    pub node_id: NodeId,
    /// The incarnation.
    pub incarnation: Incarnation,
}

/// The description of a data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataSet {
    /// Its epoch; a new one after a loss of data. Empty: there is no data at all.
    pub epoch: String,
    /// Its sequence numbers.
    pub numbers: Numbers,
    /// Events up to here belong to an earlier data set.
    pub event_start: EventSeq,
    /// Messages up to here belong to an earlier data set.
    pub message_start: MessageSeq,
    /// The timing of the cluster; `None` before the first member.
    pub timing: Option<Timing>,
    /// All settings of the cluster; `None` before the first member, or if only an older version has written them.
    pub settings: Option<Versioned>,
}

/// Changes of the member table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Delta {
    /// Whether to forget the known members first.
    pub reset: bool,
    /// The version after these changes.
    pub version: u64,
    /// Whether there are more changes than fit.
    pub more: bool,
    /// The floor for the next call: it rises when rows were forgotten.
    pub floor: u64,
    /// The new rows; `last_seen` is not filled in.
    pub rows: Vec<Member>,
}

/// Whether the caller is the incarnation in the member table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// It is.
    Ok,
    /// The table has no such node, or only an earlier incarnation: data was lost, or the node was forgotten.
    Unknown,
    /// A later incarnation holds the id.
    Replaced,
    /// This incarnation was declared dead, or left.
    Gone,
    /// The caller's data set is another one.
    Epoch,
}
