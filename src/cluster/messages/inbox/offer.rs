//! The messages offered to a receiving call, and what it may acknowledge.

use super::{Inbox, Item, OVERHEAD};
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

/// The maximum length of a message in an answer: its texts double where line separators in them are escaped.
pub(super) fn line_bytes(received: &Received) -> usize {
    let message = &received.message;
    let to: usize = message.to().unwrap_or_default().iter().map(|id| id.as_str().len() + 3).sum();
    message.bytes() * 2 + received.from.as_str().len() + to + OVERHEAD
}

impl Inbox {
    /// The messages for a receiving call: up to `limit` messages of up to `max_bytes` in all, but at least one if there is
    /// any. A gap is at the beginning of an offer, or ends the offer before it.
    pub fn offer(&mut self, limit: usize, max_bytes: usize) -> Offer {
        let mut offer = Offer { received: Vec::new(), cursor: self.acknowledged, more: false, gap: None };
        if limit == 0 {
            offer.more = !self.items.is_empty();
            return offer;
        }
        offer.received.reserve(limit.min(self.items.len()));
        let mut bytes = 0;
        let mut taken = 0;
        for item in &self.items {
            match item {
                Item::Gap(gap) if taken == 0 => offer.gap = Some(*gap),
                Item::Message { received, .. } => {
                    bytes += line_bytes(received);
                    if offer.received.len() == limit || (bytes > max_bytes && !offer.received.is_empty()) {
                        break;
                    }
                    offer.received.push(received.clone());
                }
                Item::Gap(_) => break,
            }
            taken += 1;
            offer.cursor = item.last();
        }
        offer.more = taken < self.items.len();
        if !offer.more {
            // Everything read is included: also this node's own messages, and those for others.
            offer.cursor = self.read.max(self.acknowledged);
        }
        self.offered = self.offered.max(offer.cursor);
        if taken > 0 {
            self.earlier = None;
        }
        offer
    }
}
