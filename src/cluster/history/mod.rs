//! History: what each heartbeat was like, as its node recorded it, and what a window of it adds up to.
//!
//! 1. A sample is named by its node, that node's life and its number in that life; two records of one name are one heartbeat.
//! 2. All times are the Redis server's; how long something took was measured on the clock of the node that did it.
//!
//! `histogram.rs` spreads of durations · `summary.rs` the samples of one node over ten minutes, which reports are made of ·
//! `report/` what a window of all this says.
//!
//! Not here: where history is kept (`crate::store`), when it is written (`crate::engine`).

mod histogram;
pub mod report;
mod summary;

pub use histogram::Histogram;
pub use summary::{Between, MOST_SPANS, SPAN, Summary};

use super::ids::{Incarnation, NodeId, Term};
use super::time::ServerTime;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The largest number of samples that one answer carries.
pub const MAX_HISTORY_LIMIT: usize = 10_000;

/// One heartbeat that Redis took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// Who beat.
    pub node_id: NodeId,
    /// In which life.
    pub incarnation: Incarnation,
    /// Its place among the beats of that life, from 1; it leaves none out.
    pub number: u64,
    /// When Redis took it.
    pub at: ServerTime,
    /// Whether the node led at that instant.
    pub leads: bool,
    /// The highest term that it knew.
    pub term: Term,
    /// Who held the leader's lease, as far as it knew.
    pub leader_id: Option<NodeId>,
    /// From sending the attempt that succeeded to its answer.
    pub round_trip: Duration,
    /// How many attempts it took, at least 1.
    pub attempts: u32,
    /// From the instant at which the beat was due to the answer: the round trip, and all that came in between.
    pub delay: Duration,
    /// How many messages of the stream the node had not acknowledged.
    pub lag: u64,
    /// Its process's resident memory in bytes; 0: unknown.
    pub memory: u64,
    /// The version of clawster that it runs.
    pub version: String,
    /// The heartbeat interval that governed it.
    pub interval: Duration,
}

/// Which samples are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryQuery {
    /// Only this node's.
    pub node_id: Option<NodeId>,
    /// None before this; `None`: as far back as there are any.
    pub since: Option<ServerTime>,
    /// At most this many, the newest ones; 1 to [`MAX_HISTORY_LIMIT`].
    pub limit: usize,
}

/// Samples in the order of their time, the newest last.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HistoryPage {
    /// The samples.
    pub samples: Vec<Sample>,
    /// Whether older ones of the same question were left out.
    pub more: bool,
}
