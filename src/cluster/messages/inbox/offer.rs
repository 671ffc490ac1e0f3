//! What a receiving call is given, and what it may acknowledge.

use crate::cluster::ids::MessageSeq;
use crate::cluster::messages::message::{Gap, Received};

/// What one receiving call is given.
#[derive(Debug, Clone, PartialEq)]
pub struct Offer {
    /// Messages, in order.
    pub received: Vec<Received>,
    /// The position that acknowledges all of it.
    pub cursor: MessageSeq,
    /// Whether more waits in memory.
    pub more: bool,
    /// What was lost before the first of them.
    pub gap: Option<Gap>,
}

/// A cursor that cannot be acknowledged, because it lies beyond what was offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("ack {} is beyond what was delivered ({}); pass the cursor of an answer", .asked.entry_id(), .offered.entry_id())]
pub struct BeyondOffered {
    pub(super) asked: MessageSeq,
    pub(super) offered: MessageSeq,
}
