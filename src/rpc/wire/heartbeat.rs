//! A heartbeat on request.
//!
//! 1. The answer describes the heartbeat that this call caused, not an earlier one.
//!
//! Not here: the heartbeats that the node sends by itself (`crate::engine`).

use super::node::Role;
use crate::engine::node::handle;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The result of `cluster.heartbeat`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HeartbeatResult {
    /// The id of this node.
    pub node_id: String,
    /// The incarnation of this node; it rises with every start of the process.
    pub incarnation: u64,
    /// The role of this node.
    pub role: Role,
    /// The highest term that this node knows.
    pub term: u64,
    /// The node id of the leader; null: there is none.
    pub leader_id: Option<String>,
    /// When Redis accepted the heartbeat, in milliseconds of the Redis server's clock.
    pub at_ms: u64,
    /// The round trip to Redis, in milliseconds with fractions.
    pub round_trip_ms: f64,
    /// The number of attempts that the heartbeat took.
    pub attempts: u32,
}

impl From<handle::Beat> for HeartbeatResult {
    fn from(beat: handle::Beat) -> Self {
        // Whole microseconds, so that the text stays short.
        let micros = u32::try_from(beat.round_trip.as_micros()).unwrap_or(u32::MAX);
        Self {
            node_id: beat.node_id.into(),
            incarnation: beat.incarnation.0,
            role: beat.role,
            term: beat.term.0,
            leader_id: beat.leader_id.map(String::from),
            at_ms: beat.at.0,
            round_trip_ms: f64::from(micros) / 1_000.0,
            attempts: beat.attempts,
        }
    }
}
