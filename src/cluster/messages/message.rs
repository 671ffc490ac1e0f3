//! Messages: what a node says to the others.
//!
//! 1. `payload` is JSON text that was valid when it came in; the core never looks inside.
//! 2. A message's `seq` is its place in the one order; `producer_seq` its place among its sender's own.
//!
//! Not here: cursors and duplicates (`inbox.rs`), the outbox on disk (`crate::engine::messages::outbox`).

use crate::cluster::ids::{MessageSeq, NodeId, Nonce};
use crate::cluster::time::ServerTime;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// A message as it travels: what the sender gave, with the id filled in.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Message {
    /// The sender's name for it, unique among the sender's messages of a day.
    pub id: String,
    /// Free text to sort messages by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// The members that it is for; absent: all others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Vec<NodeId>>,
    /// The content, as JSON text.
    pub payload: Box<RawValue>,
}

impl PartialEq for Message {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
            && self.topic == other.topic
            && self.to == other.to
            && self.payload.get() == other.payload.get()
    }
}

/// A message as a member is handed it.
#[derive(Debug, Clone, PartialEq)]
pub struct Received {
    /// Its place in the one order.
    pub seq: MessageSeq,
    /// Who sent it.
    pub from: NodeId,
    /// When the stream took it.
    pub sent_at: ServerTime,
    /// What was sent.
    pub message: Message,
}

/// Messages that were trimmed or lost before this node read them, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// The first position missed.
    pub from: MessageSeq,
    /// The last position missed.
    pub to: MessageSeq,
    /// How many positions that is; `None` after a loss of data, when nobody knows.
    pub count: Option<u64>,
}

/// The identity of an outbox: random, kept on disk, independent of node id and incarnation.
pub type Producer = Nonce;

/// A message of an outbox with its place among the outbox's own.
#[derive(Debug, Clone, PartialEq)]
pub struct Outgoing {
    /// Its place, from 1.
    pub producer_seq: u64,
    /// The message.
    pub message: Message,
}
