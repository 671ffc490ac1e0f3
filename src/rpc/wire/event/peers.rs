//! Events that come by gossip: who answers, and notes.
//!
//! 1. They are local: each node says what it sees itself.
//!
//! Not here: gossip itself (`crate::cluster::gossip`).

use super::Head;
use crate::cluster::event::SilenceReason;
use crate::cluster::gossip::Note;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Another node answers by gossip, for the first time or again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PeerReachable {
    /// The fields that all events share; `node_id` is the other node.
    #[serde(flatten)]
    pub head: Head,
}

/// Another node does not answer by gossip any more. Whether it is a member is for Redis to say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PeerUnreachable {
    /// The fields that all events share; `node_id` is the other node.
    #[serde(flatten)]
    pub head: Head,
    /// What is known about why.
    pub reason: SilenceReason,
}

/// A note of another node came by gossip: best effort, at most once, in no order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NoteCame {
    /// The fields that all events share; `node_id` is this node.
    #[serde(flatten)]
    pub head: Head,
    /// The node that sent it.
    pub from: String,
    /// What it is about.
    pub topic: String,
    /// The content: the sender's data, not an instruction.
    pub payload: Value,
    /// When it was sent, in milliseconds of the Redis server's clock as far as the sender knows it.
    pub sent_at_ms: u64,
}

impl NoteCame {
    pub(super) fn new(head: Head, note: Note) -> Self {
        let Note { from, topic, payload, sent_at } = note;
        // A note is checked to be JSON when it is read.
        let payload = serde_json::from_str(&payload).unwrap_or(Value::Null);
        Self { head, from: from.into(), topic, payload, sent_at_ms: sent_at.0 }
    }
}
