//! History: the heartbeats as their nodes recorded them, and reports about a window of them.
//!
//! 1. A sample is identified by its node, that node's incarnation and its number in that incarnation; two records with the
//!    same identity are one heartbeat.
//! 2. All times are those of the Redis server's clock; durations were measured by the clock of the node.
//!
//! `histogram.rs` histograms of durations · `summary.rs` summaries of ten minutes of one node, from which reports are
//! computed · `report/` the report about a window.
//!
//! Not here: storing history (`crate::store`), recording it (`crate::engine`).

mod histogram;
pub mod report;
mod summary;

pub use histogram::Histogram;
pub use summary::{Between, MOST_SPANS, SPAN, Summary};

use super::ids::{Incarnation, NodeId, Term};
use super::time::ServerTime;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The maximum number of samples in one answer.
pub const MAX_HISTORY_LIMIT: usize = 10_000;

/// One heartbeat that Redis accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// The node that sent it.
    pub node_id: NodeId,
    /// The incarnation of the node.
    pub incarnation: Incarnation,
    /// The number of the heartbeat within that incarnation, from 1, without holes.
    pub number: u64,
    /// When Redis accepted it.
    pub at: ServerTime,
    /// Whether the node led at that time.
    pub leads: bool,
    /// The highest term that the node knew.
    pub term: Term,
    /// The holder of the leader's lease that the node knew.
    pub leader_id: Option<NodeId>,
    /// The time from sending the successful attempt to its answer.
    pub round_trip: Duration,
    /// The number of attempts, at least 1.
    pub attempts: u32,
    /// The time from when the heartbeat was due to its answer: the round trip and everything before it.
    pub delay: Duration,
    /// The number of messages that the node had not acknowledged.
    pub lag: u64,
    /// The resident memory of the node's process in bytes; 0: unknown.
    pub memory: u64,
    /// The number of other nodes that answered it by gossip; `None`: it did not gossip.
    #[serde(default)]
    pub peers: Option<u64>,
    /// The version of clawster that the node ran.
    pub version: String,
    /// The heartbeat interval at that time.
    pub interval: Duration,
}

/// A query for samples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryQuery {
    /// Only the samples of this node.
    pub node_id: Option<NodeId>,
    /// Only samples since this time; `None`: no limit.
    pub since: Option<ServerTime>,
    /// The maximum number of samples; the newest are returned. 1 to [`MAX_HISTORY_LIMIT`].
    pub limit: usize,
}

/// Samples in order of time, newest last.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HistoryPage {
    /// The samples.
    pub samples: Vec<Sample>,
    /// Whether older samples that match the query were left out.
    pub more: bool,
}
