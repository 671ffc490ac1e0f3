//! Messages from one node to others.
//!
//! 1. `payload` is JSON text that was valid when it came in; the core never parses it.
//! 2. The `seq` of a message is its position in the total order; its `producer_seq` is its position among the messages of
//!    its producer.
//!
//! Not here: cursors and duplicates (`inbox.rs`), the outbox on disk (`crate::engine::messages::outbox`).

use super::content::Content;
use crate::cluster::ids::{MessageSeq, NodeId, Nonce};
use crate::cluster::time::ServerTime;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// A message as it is sent: the sender's input, with the id filled in.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Message {
    /// The sender's id for it, unique among the sender's messages of one day.
    pub id: String,
    /// The topic; free text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// The members to send to; absent: all others.
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

/// A message as a member receives it.
#[derive(Debug, Clone, PartialEq)]
pub struct Received {
    /// The position in the total order.
    pub seq: MessageSeq,
    /// The sender.
    pub from: NodeId,
    /// When the message entered the stream.
    pub sent_at: ServerTime,
    /// What it says.
    pub message: Content,
}

impl Received {
    /// A copy that keeps no other message's text in memory.
    #[must_use]
    pub fn alone(&self) -> Self {
        Self { message: self.message.alone(), ..self.clone() }
    }
}

/// Messages that were trimmed or lost before this node read them. Both ends are included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// The first missed position.
    pub from: MessageSeq,
    /// The last missed position.
    pub to: MessageSeq,
    /// The number of missed positions; `None`: unknown, after a loss of data.
    pub count: Option<u64>,
}

/// The identity of an outbox: random, stored on disk, independent of node id and incarnation.
pub type Producer = Nonce;

/// A message of an outbox with its position in the outbox.
#[derive(Debug, Clone, PartialEq)]
pub struct Outgoing {
    /// The position, from 1.
    pub producer_seq: u64,
    /// The message.
    pub message: Message,
}

/// Messages of one producer that stand in the stream one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// The producer sequence of the first one.
    pub first: u64,
    /// The producer sequence of the last one.
    pub last: u64,
    /// The position of the first one in the stream.
    pub at: MessageSeq,
}

impl Run {
    /// The position of the last message.
    #[must_use]
    pub fn end(&self) -> MessageSeq {
        MessageSeq(self.at.0 + self.last.saturating_sub(self.first))
    }

    /// The number of messages.
    #[must_use]
    pub fn count(&self) -> u64 {
        (self.last + 1).saturating_sub(self.first)
    }

    /// The position of a message; `None` if it is not one of these.
    #[must_use]
    pub fn place(&self, producer_seq: u64) -> Option<MessageSeq> {
        (self.first..=self.last).contains(&producer_seq).then(|| MessageSeq(self.at.0 + (producer_seq - self.first)))
    }

    /// Adds a run, to the last one where it goes on there.
    pub fn add(runs: &mut Vec<Self>, next: Self) {
        match runs.last_mut() {
            Some(last) if last.last + 1 == next.first && last.end().next() == next.at => last.last = next.last,
            _ => runs.push(next),
        }
    }
}
