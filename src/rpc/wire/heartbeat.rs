//! A heartbeat on request.
//!
//! 1. The answer is of the beat that this call made, not of an earlier one.
//!
//! Not here: the beats that the node makes by itself (`crate::engine`).

use super::node::Role;
use crate::engine::node::handle;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The result of `cluster.heartbeat`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HeartbeatResult {
    /// This node's id.
    pub node_id: String,
    /// The number of this node's life.
    pub incarnation: u64,
    /// This node's part in the cluster.
    pub role: Role,
    /// The highest term known.
    pub term: u64,
    /// Who leads.
    pub leader_id: Option<String>,
    /// When the beat was taken, in milliseconds of the Redis server's clock.
    pub at_ms: u64,
    /// How long the round trip to Redis took, in milliseconds, with fractions.
    pub round_trip_ms: f64,
    /// How many attempts it took.
    pub attempts: u32,
}

impl From<handle::Beat> for HeartbeatResult {
    fn from(beat: handle::Beat) -> Self {
        // Whole microseconds, so that the text stays short.
        let micros = u32::try_from(beat.round_trip.as_micros()).unwrap_or(u32::MAX);
        Self {
            node_id: beat.node_id.into(),
            incarnation: beat.incarnation.0,
            role: beat.role.into(),
            term: beat.term.0,
            leader_id: beat.leader_id.map(String::from),
            at_ms: beat.at.0,
            round_trip_ms: f64::from(micros) / 1_000.0,
            attempts: beat.attempts,
        }
    }
}
