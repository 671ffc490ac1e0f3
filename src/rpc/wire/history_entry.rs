//! One recorded heartbeat, as clients see it.
//!
//! Not here: what many of them add up to (`history_report.rs`).

use crate::cluster::history::Sample;
use crate::cluster::time::millis;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A node's part when it beat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BeatRole {
    /// It led.
    Leader,
    /// It did not.
    Follower,
}

/// A recorded heartbeat.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HistoryEntry {
    /// Who beat.
    pub node_id: String,
    /// When Redis took it, in milliseconds of the Redis server's clock.
    pub at_ms: u64,
    /// In which life.
    pub incarnation: u64,
    /// The node's part at that instant.
    pub role: BeatRole,
    /// The highest term that it knew.
    pub term: u64,
    /// Who held the leader's lease, as far as it knew.
    pub leader_id: Option<String>,
    /// From sending the attempt that succeeded to its answer, to a tenth of a millisecond.
    pub round_trip_ms: f64,
    /// How many attempts it took.
    pub attempts: u32,
    /// From the instant at which it was due to its answer, to a tenth of a millisecond.
    pub delay_ms: f64,
    /// How many messages the node had not acknowledged.
    pub lag: u64,
    /// Its process's resident memory in bytes; 0: unknown.
    pub memory_bytes: u64,
    /// The version of clawster that it ran.
    pub version: String,
    /// The heartbeat interval.
    pub interval_ms: u64,
    /// Its place among the beats of that life, from 1.
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
