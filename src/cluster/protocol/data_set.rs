//! What the store holds, as every answer shows it: the data set, its numbers, the member table's changes.
//!
//! Not here: the transitions (`mod.rs` lists them).

use super::leader::LeaderRecord;
use crate::cluster::ids::{EventSeq, Incarnation, MessageSeq, NodeId};
use crate::cluster::members::member::Member;
use crate::cluster::settings::{Timing, Versioned};
use crate::cluster::time::ServerTime;
use serde::{Deserialize, Serialize};

/// The identity of a server process; the same data on another server has another one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct ServerId(pub String);

/// The highest numbers of a data set, or the highest that a node has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Numbers {
    /// The one counter of terms, lease tokens and incarnations.
    pub token: u64,
    /// The last event.
    pub event: u64,
    /// The last message.
    pub message: u64,
}

impl Numbers {
    /// For each number the higher one.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self {
            token: self.token.max(other.token),
            event: self.event.max(other.event),
            message: self.message.max(other.message),
        }
    }
}

/// The life of a member that makes a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Who.
    pub node_id: NodeId,
    /// Which life.
    pub incarnation: Incarnation,
}

/// Where the data set stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataSet {
    /// Its name; a new one after a loss of data. Empty: there is no data at all.
    pub epoch: String,
    /// Its numbers.
    pub numbers: Numbers,
    /// Events up to here belong to an earlier data set.
    pub event_start: EventSeq,
    /// Messages up to here belong to an earlier data set.
    pub message_start: MessageSeq,
    /// The cluster's times; `None` before the first member.
    pub timing: Option<Timing>,
    /// All settings of the cluster; `None` before the first member, and where only the version before this one wrote them.
    pub settings: Option<Versioned>,
}

/// What changed in the member table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Delta {
    /// Forget what is known first.
    pub reset: bool,
    /// The version that this leads to.
    pub version: u64,
    /// More has changed than fits.
    pub more: bool,
    /// What to bring with the next question: it rises when rows were forgotten.
    pub floor: u64,
    /// The new rows; `last_seen` is not filled in.
    pub rows: Vec<Member>,
}

/// Whether the caller is the life that the member table knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// It is.
    Ok,
    /// The table has no such node, or only an earlier life of it: data was lost, or the node was forgotten.
    Unknown,
    /// A later life holds the id.
    Replaced,
    /// This life was declared dead, or left.
    Gone,
    /// The caller speaks of another data set.
    Epoch,
}

/// Reads without being a member.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// The data set that the caller's view is of.
    pub epoch: String,
    /// The version that the caller's view has.
    pub version: u64,
    /// The floor that the last delta told.
    pub floor: u64,
    /// How many rows at most.
    pub rows: u64,
    /// How many beats at most.
    pub beats: u64,
}

/// The answer to [`View`].
#[derive(Debug, Clone, PartialEq)]
pub struct ViewReply {
    /// Server time.
    pub now: ServerTime,
    /// The data set.
    pub data: DataSet,
    /// The leader's record.
    pub leader: Option<LeaderRecord>,
    /// Changed rows.
    pub delta: Delta,
    /// Last beats, oldest first.
    pub beats: Vec<(NodeId, ServerTime)>,
    /// How many members are alive.
    pub alive: u64,
}
