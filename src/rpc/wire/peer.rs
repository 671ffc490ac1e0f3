//! Another node as this one sees it by gossip.
//!
//! Not here: members, which Redis names (`node.rs`).

use crate::cluster::gossip;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a peer's data comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PeerSource {
    /// From the nodes themselves, not from Redis.
    Gossip,
}

/// Another node, by gossip: its own word as of a time, and whether it answers now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Peer {
    /// The id of the node.
    pub node_id: String,
    /// Whether it answers this node, directly or through others.
    pub reachable: bool,
    /// Whether Redis accepts its heartbeats, as it said last.
    pub redis_reachable: bool,
    /// Since when that is so, in milliseconds of the Redis server's clock as far as that node knows it.
    pub redis_since_ms: u64,
    /// The last leader that it knows; null: none.
    pub leader_id: Option<String>,
    /// The highest term that it knows.
    pub term: u64,
    /// Whether it takes no new work.
    pub draining: bool,
    /// The version of clawster that it runs.
    pub version: String,
    /// When all of this was true, in milliseconds of the Redis server's clock as far as that node knows it.
    pub as_of_ms: u64,
    /// Where this data comes from.
    pub source: PeerSource,
}

impl From<gossip::Peer> for Peer {
    fn from(peer: gossip::Peer) -> Self {
        let gossip::Peer { node_id, reachable, says, as_of } = peer;
        Self {
            node_id: node_id.into(),
            reachable,
            redis_reachable: says.redis,
            redis_since_ms: says.redis_since.0,
            leader_id: says.leader_id.map(String::from),
            term: says.term.0,
            draining: says.draining,
            version: says.version,
            as_of_ms: as_of.0,
            source: PeerSource::Gossip,
        }
    }
}
