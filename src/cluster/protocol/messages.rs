//! Messages as the stream holds them, and putting them there.
//!
//! Not here: packing (`crate::cluster::messages::packing`) and unpacking (`crate::cluster::messages::inbox`).

use super::data_set::{Identity, Instance};
use crate::cluster::ids::{MessageSeq, NodeId};
use crate::cluster::messages::message::Producer;
use crate::cluster::time::ServerTime;

/// Several messages in one entry of the stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Packed {
    /// The place of the first one among its producer's own.
    pub first: u64,
    /// How many.
    pub count: u64,
    /// A JSON array of [`crate::cluster::messages::message::Message`].
    pub body: String,
}

/// Puts messages into the stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Publish {
    /// Who sends.
    pub instance: Instance,
    /// The data set that the caller speaks of.
    pub epoch: String,
    /// The outbox's identity.
    pub producer: Producer,
    /// How many messages the stream keeps.
    pub keep: u64,
    /// How many bytes of unread messages the stream may hold; at most half of the store's memory, whatever is said here.
    pub max_bytes: u64,
    /// What to put.
    pub entries: Vec<Packed>,
}

/// The answer to [`Publish`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublishReply {
    /// Written; the first message has this position, the others follow without holes.
    Written {
        /// The position of the first message.
        first: MessageSeq,
        /// Server time.
        now: ServerTime,
    },
    /// The first entry begins at or below the producer's mark: nothing was written.
    Marked {
        /// The mark.
        producer_seq: u64,
        /// The position of the message at the mark.
        seq: MessageSeq,
    },
    /// The stream holds as much as it may, and members need it: nothing was written.
    Full {
        /// How many bytes it holds.
        held: u64,
        /// How many it may hold; `None`: the store itself is full.
        bound: Option<u64>,
        /// The member that acknowledged least.
        slowest: Option<NodeId>,
    },
    /// The caller is not the life that the table knows.
    Refused(Identity),
}

/// An entry of the message stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The position of its last message.
    pub last: MessageSeq,
    /// Whose outbox it came from.
    pub producer: Producer,
    /// Who sent it.
    pub from: NodeId,
    /// The place of the first message among its producer's own.
    pub first_own: u64,
    /// How many messages.
    pub count: u64,
    /// When the stream took it.
    pub at: ServerTime,
    /// A JSON array of [`crate::cluster::messages::message::Message`].
    pub body: String,
    /// No message stands between this position and the first one of the entry: where the newest may be lost, their numbers are
    /// left out.
    pub after: Option<MessageSeq>,
}
