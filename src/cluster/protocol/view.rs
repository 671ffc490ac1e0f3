//! Reading the cluster.
//!
//! Not here: the view that is kept from it (`crate::cluster::members::view`).

use super::data_set::{DataSet, Delta};
use super::leader::LeaderRecord;
use crate::cluster::ids::NodeId;
use crate::cluster::time::ServerTime;

/// Reads the cluster without being a member.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// The data set of the caller's view.
    pub epoch: String,
    /// The version of the caller's view.
    pub version: u64,
    /// The floor in the last delta.
    pub floor: u64,
    /// The maximum number of rows.
    pub rows: u64,
    /// The maximum number of heartbeats.
    pub beats: u64,
}

/// The answer to [`View`].
#[derive(Debug, Clone, PartialEq)]
pub struct ViewReply {
    /// The server's time.
    pub now: ServerTime,
    /// The data set.
    pub data: DataSet,
    /// The leader's record.
    pub leader: Option<LeaderRecord>,
    /// The changed members.
    pub delta: Delta,
    /// The last heartbeats, oldest first.
    pub beats: Vec<(NodeId, ServerTime)>,
    /// The number of live members.
    pub alive: u64,
}
