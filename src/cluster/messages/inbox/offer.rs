//! The messages offered to a receiving call, and what it may acknowledge.

use crate::cluster::ids::MessageSeq;
use crate::cluster::messages::message::{Gap, Received};

/// The messages offered to one receiving call.
#[derive(Debug, Clone, PartialEq)]
pub struct Offer {
    /// Messages, in order.
    pub received: Vec<Received>,
    /// The position that acknowledges the whole offer.
    pub cursor: MessageSeq,
    /// Whether more messages wait in memory.
    pub more: bool,
    /// The messages lost before the first one of the offer.
    pub gap: Option<Gap>,
}

/// A cursor that cannot be acknowledged because it is beyond what was offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("ack {} is beyond what was delivered ({}); pass the cursor of an answer", .asked.entry_id(), .offered.entry_id())]
pub struct BeyondOffered {
    pub(super) asked: MessageSeq,
    pub(super) offered: MessageSeq,
}
