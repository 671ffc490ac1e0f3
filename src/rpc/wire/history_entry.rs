//! One recorded heartbeat, as clients see it.
//!
//! Not here: the report about many of them (`history_report.rs`).

use crate::cluster::history::Sample;
use crate::cluster::time::millis;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The role of a node when it sent the heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BeatRole {
    /// The node led.
    Leader,
    /// The node did not lead.
    Follower,
}

/// A recorded heartbeat.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HistoryEntry {
    /// The node that sent the heartbeat.
    pub node_id: String,
    /// When Redis accepted the heartbeat, in milliseconds of the Redis server's clock.
    pub at_ms: u64,
    /// The incarnation of the node; it rises with every start of the process.
    pub incarnation: u64,
    /// The role of the node at that time.
    pub role: BeatRole,
    /// The highest term that the node knew.
    pub term: u64,
    /// The holder of the leader's lease that the node knew; null: none.
    pub leader_id: Option<String>,
    /// The time from sending the successful attempt to its answer, in milliseconds, to a tenth.
    pub round_trip_ms: f64,
    /// The number of attempts that the heartbeat took.
    pub attempts: u32,
    /// The time from when the heartbeat was due to its answer, in milliseconds, to a tenth.
    pub delay_ms: f64,
    /// The number of messages that the node had not acknowledged.
    pub lag: u64,
    /// The resident memory of the node's process in bytes; 0: unknown.
    pub memory_bytes: u64,
    /// The number of other nodes that answered it by gossip; null: it did not gossip.
    pub peers: Option<u64>,
    /// The version of clawster that the node ran.
    pub version: String,
    /// The heartbeat interval, in milliseconds.
    pub interval_ms: u64,
    /// The number of the heartbeat within its incarnation, from 1.
    pub number: u64,
}

impl From<&Sample> for HistoryEntry {
    fn from(sample: &Sample) -> Self {
        Self {
            node_id: sample.node_id.as_str().to_owned(),
            at_ms: sample.at.0,
            incarnation: sample.incarnation.0,
            role: if sample.leads { BeatRole::Leader } else { BeatRole::Follower },
            term: sample.term.0,
            leader_id: sample.leader_id.as_ref().map(|id| id.as_str().to_owned()),
            round_trip_ms: tenths(sample.round_trip),
            attempts: sample.attempts,
            delay_ms: tenths(sample.delay),
            lag: sample.lag,
            memory_bytes: sample.memory,
            peers: sample.peers,
            version: sample.version.clone(),
            interval_ms: millis(sample.interval),
            number: sample.number,
        }
    }
}

/// Milliseconds, rounded to a tenth.
fn tenths(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10_000.0).round() / 10.0
}
