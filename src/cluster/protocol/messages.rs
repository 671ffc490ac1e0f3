//! Messages in the stream, and publishing them.
//!
//! Not here: packing (`crate::cluster::messages::packing`) and unpacking (`crate::cluster::messages::inbox`).

use super::data_set::{Identity, Instance};
use crate::cluster::ids::{MessageSeq, NodeId};
use crate::cluster::messages::message::Producer;
use crate::cluster::time::ServerTime;
use std::sync::Arc;

/// Several messages in one entry of the stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Packed {
    /// The producer sequence of the first message.
    pub first: u64,
    /// The number of messages.
    pub count: u64,
    /// A JSON array of [`crate::cluster::messages::message::Message`].
    pub body: String,
}

/// Publishes messages to the stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Publish {
    /// The sender.
    pub instance: Instance,
    /// The caller's data set.
    pub epoch: String,
    /// The identity of the outbox.
    pub producer: Producer,
    /// The maximum number of messages in the stream.
    pub keep: u64,
    /// The maximum number of bytes of unread messages in the stream; never more than half of the store's memory.
    pub max_bytes: u64,
    /// The messages.
    pub entries: Vec<Packed>,
}

/// The answer to [`Publish`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublishReply {
    /// The messages were written; the first one has this position, the others follow without holes.
    Written {
        /// The position of the first message.
        first: MessageSeq,
        /// The server's time.
        now: ServerTime,
    },
    /// The first entry begins at or below the producer's mark: nothing was written.
    Marked {
        /// The mark.
        producer_seq: u64,
        /// The position of the message at the mark.
        seq: MessageSeq,
    },
    /// The stream is full of messages that members have not read: nothing was written.
    Full {
        /// The bytes in it.
        held: u64,
        /// The maximum; `None`: the store itself is full.
        bound: Option<u64>,
        /// The member with the oldest acknowledged position.
        slowest: Option<NodeId>,
    },
    /// The caller is not the incarnation in the member table.
    Refused(Identity),
}

/// Moves the caller's cursor forward.
#[derive(Debug, Clone, PartialEq)]
pub struct Acknowledge {
    /// The caller.
    pub instance: Instance,
    /// The caller's data set.
    pub epoch: String,
    /// The acknowledged position.
    pub seq: MessageSeq,
}

/// An entry of the message stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The position of its last message.
    pub last: MessageSeq,
    /// The identity of the outbox that it came from.
    pub producer: Producer,
    /// The sender.
    pub from: NodeId,
    /// The producer sequence of the first message.
    pub first_own: u64,
    /// The number of messages.
    pub count: u64,
    /// When the entry was written.
    pub at: ServerTime,
    /// A JSON array of [`crate::cluster::messages::message::Message`].
    pub body: Arc<String>,
    /// There is no message between this position and the first one of the entry: if the newest messages may be lost, their
    /// sequence numbers are left out.
    pub after: Option<MessageSeq>,
}
