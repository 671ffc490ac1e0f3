//! Continuing under another node id: what was received under the previous id, and what is still to come under the new one.
//!
//! 1. (S1) Everything for the new id is offered from where its receiving had stopped, even if this inbox has read past it.
//! 2. (S2) What was acknowledged under either id is not offered again.
//!
//! Not here: taking and offering (`super`), saving the ranges on disk (`crate::engine::messages::outbox`).

use super::{Inbox, Item};
use crate::cluster::ids::{MessageSeq, NodeId};
use crate::cluster::messages::content::Content;
use serde::{Deserialize, Serialize};

/// The maximum number of ranges.
const MAX_PASSED: usize = 16;

/// A range of positions that were acknowledged under other ids than the current ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passed {
    /// The position before the range.
    pub after: MessageSeq,
    /// The last position of the range.
    pub to: MessageSeq,
    /// The ids under which they were acknowledged.
    pub ids: Vec<NodeId>,
    /// Whether messages to one of these ids count only after `after`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub strict: bool,
}

impl Passed {
    /// Whether a message was acknowledged under these ids: a message to all if it came after receiving began there, a
    /// message to one of them mostly at any time.
    pub(super) fn covers(&self, seq: MessageSeq, message: &Content) -> bool {
        let behind = self.after < seq;
        let mine = |to: &[NodeId]| (behind || !self.strict) && to.iter().any(|id| self.ids.contains(id));
        seq <= self.to && message.to().map_or(behind, mine)
    }
}

/// The details of an inbox's position besides its cursor; saved with the cursor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The id that the cursor belongs to.
    pub owner: NodeId,
    /// Where receiving began under its ids.
    pub began: MessageSeq,
    /// See [`Passed`].
    #[serde(default)]
    pub passed: Vec<Passed>,
}

/// What was offered under the ids before a rename: a client may still acknowledge it.
#[derive(Debug, Clone)]
pub(super) struct Before {
    offered: MessageSeq,
    began: MessageSeq,
    ids: Vec<NodeId>,
    strict: bool,
}

impl Inbox {
    /// The details of the current position.
    #[must_use]
    pub fn place(&self) -> Option<Place> {
        let owner = self.ids.first()?.clone();
        Some(Place { owner, began: self.began, passed: self.passed.clone() })
    }

    /// Takes the details that an earlier process saved with a cursor, maybe in an earlier data set; `kept` is that cursor.
    pub fn resume(&mut self, place: Place, kept: MessageSeq) {
        self.extend_passed(place.passed);
        if self.ids.contains(&place.owner) {
            self.began = place.began.min(self.acknowledged);
        } else {
            self.pass(Passed { after: place.began, to: kept, ids: vec![place.owner], strict: false });
        }
        self.unmarked = self.passed.iter().map(|passed| passed.to).fold(self.unmarked, MessageSeq::max);
    }

    /// Adds ranges that an earlier process saved.
    pub(super) fn extend_passed(&mut self, passed: Vec<Passed>) {
        self.unmarked = passed.iter().map(|passed| passed.to).fold(self.unmarked, MessageSeq::max);
        self.passed.extend(passed);
    }

    /// Continues under other ids, of which the first was known: its receiving had stopped at `stood`, and had begun at
    /// `began`, if known. Continues to read at the earlier of both positions.
    pub fn rename(&mut self, ids: Vec<NodeId>, stood: MessageSeq, began: Option<MessageSeq>) {
        let taken = ids.iter().filter(|id| !self.ids.contains(id)).cloned().collect();
        let own = std::mem::replace(&mut self.ids, ids);
        let at = self.acknowledged;
        let read = self.read;
        // Messages to all from before receiving began there were not received; if the beginning is unknown, none of them
        // was.
        let began = began.map_or(stood, |began| began.clamp(at.min(stood), stood));
        self.pass(Passed { after: began, to: stood, ids: taken, strict: false });
        self.go_back(stood.min(at), own, false);
        // Read again: reading for the previous ids left out the messages for the new id.
        self.unmarked = self.unmarked.max(read);
    }

    /// Continues to read at an earlier position; messages acknowledged under these ids in the meantime are not offered
    /// again.
    pub(super) fn go_back(&mut self, from: MessageSeq, ids: Vec<NodeId>, strict: bool) {
        let at = self.acknowledged;
        if !strict || self.began < at {
            self.pass(Passed { after: self.began, to: at, ids: ids.clone(), strict });
        }
        if self.offered > at {
            self.before = Some(Before { offered: self.offered, began: self.began, ids, strict });
        }
        self.began = self.began.min(from);
        (self.read, self.acknowledged, self.offered) = (from, from, from);
        self.items.clear();
        self.bytes = 0;
        self.marks.read_again();
    }

    /// Whether the message was acknowledged under other ids.
    pub(super) fn has_passed(&self, seq: MessageSeq, message: &Content) -> bool {
        self.passed.iter().any(|passed| passed.covers(seq, message))
    }

    /// Whether all positions after this one are beyond those that were acknowledged, or are read a second time, under whichever ids.
    pub(super) fn is_later_than_all(&self, before_first: u64) -> bool {
        let ends = self.passed.iter().map(|passed| passed.to);
        before_first >= ends.fold(self.acknowledged.max(self.unmarked), MessageSeq::max).0
    }

    /// Takes the acknowledgement of an offer from before a rename: it covers only that offer, and no message to the new id.
    /// False: the cursor was not offered then.
    pub(super) fn acknowledge_before(&mut self, cursor: MessageSeq) -> bool {
        let Some(before) = self.before.clone().filter(|before| cursor <= before.offered) else { return false };
        self.pass(Passed { after: before.began, to: cursor, ids: before.ids, strict: before.strict });
        let passed = std::mem::take(&mut self.passed);
        self.keep_items(|item| match item {
            Item::Message { received, .. } => !passed.iter().any(|p| p.covers(received.seq, &received.message)),
            Item::Gap(_) => true,
        });
        self.passed = passed;
        true
    }

    /// Adds a range. Ranges are kept even when the cursor has reached them: a later rename may go back before them.
    fn pass(&mut self, passed: Passed) {
        if passed.after > passed.to {
            return;
        }
        let goes_on = |known: &&mut Passed| {
            known.ids == passed.ids
                && known.strict == passed.strict
                && known.after <= passed.after
                && passed.after <= known.to
        };
        if let Some(known) = self.passed.iter_mut().find(goes_on) {
            known.to = known.to.max(passed.to);
        } else {
            self.passed.push(passed);
            if self.passed.len() > MAX_PASSED {
                self.passed.remove(0);
            }
        }
    }
}
