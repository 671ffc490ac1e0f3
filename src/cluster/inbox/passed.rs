//! Going on under another id: what was had under the one before, and what is still to come under the one that was taken.
//!
//! 1. (S1) Everything for the id that was taken is offered from where its receiving stood, also what this inbox read past.
//! 2. (S2) What was acknowledged under either id is not offered again.
//!
//! Not here: taking and offering (`super`), keeping it on disk (`crate::engine::outbox`).

use super::{Inbox, Item};
use crate::cluster::ids::{MessageSeq, NodeId};
use crate::cluster::message::Message;
use serde::{Deserialize, Serialize};

/// How many ranges are kept; each ends when it is acknowledged as a whole.
const MAX_PASSED: usize = 16;

/// Positions that were acknowledged under other ids than those that are received for now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passed {
    /// Behind this position.
    pub after: MessageSeq,
    /// Up to this one.
    pub to: MessageSeq,
    /// Under which ids.
    pub ids: Vec<NodeId>,
}

impl Passed {
    /// Whether a message was acknowledged under these ids: one for everybody since receiving began there, one for them at any time.
    fn covers(&self, seq: MessageSeq, message: &Message) -> bool {
        let had = message.to.as_ref().map_or(self.after < seq, |to| to.iter().any(|id| self.ids.contains(id)));
        seq <= self.to && had
    }
}

/// Where an inbox stands besides its cursor; kept with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The id that the cursor is of.
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
}

impl Inbox {
    /// Where it stands besides its cursor.
    #[must_use]
    pub fn place(&self) -> Option<Place> {
        let owner = self.ids.first()?.clone();
        Some(Place { owner, began: self.began, passed: self.passed.clone() })
    }

    /// An earlier process kept this beside a cursor of the same data set, which was `kept` then.
    pub fn resume(&mut self, place: Place, kept: MessageSeq) {
        self.passed = place.passed;
        if self.ids.contains(&place.owner) {
            self.began = place.began.min(self.acknowledged);
        } else {
            self.pass(Passed { after: place.began, to: kept, ids: vec![place.owner] });
        }
        self.forget_passed();
        self.unmarked = self.passed.iter().map(|passed| passed.to).fold(self.unmarked, MessageSeq::max);
    }

    /// Goes on under other ids, the first of which was known: its receiving stood at `stood`. Reads on from the earlier of both
    /// positions.
    pub fn rename(&mut self, ids: Vec<NodeId>, stood: MessageSeq) {
        let taken = ids.iter().filter(|id| !self.ids.contains(id)).cloned().collect();
        let own = std::mem::replace(&mut self.ids, ids);
        let at = self.acknowledged;
        self.pass(Passed { after: self.began, to: at, ids: own.clone() });
        self.pass(Passed { after: at, to: stood, ids: taken });
        if self.offered > at {
            self.before = Some(Before { offered: self.offered, began: self.began, ids: own });
        }
        // Read anew: what was read for the ids before left out what is for the one that was taken.
        self.unmarked = self.passed.iter().map(|passed| passed.to).fold(self.unmarked.max(self.read), MessageSeq::max);
        let from = stood.min(at);
        self.began = self.began.min(from);
        (self.read, self.acknowledged, self.offered) = (from, from, from);
        self.items.clear();
        self.bytes = 0;
        self.forget_passed();
        self.skip_to(self.begins);
    }

    /// Whether the message was acknowledged under other ids.
    pub(super) fn has_passed(&self, seq: MessageSeq, message: &Message) -> bool {
        self.passed.iter().any(|passed| passed.covers(seq, message))
    }

    /// A client acknowledges what was offered before a rename: that ends there, and nothing for the id that was taken is passed
    /// over by it. False: it was not offered then.
    pub(super) fn acknowledge_before(&mut self, cursor: MessageSeq) -> bool {
        let Some(before) = self.before.clone().filter(|before| cursor <= before.offered) else { return false };
        self.pass(Passed { after: before.began, to: cursor, ids: before.ids });
        let passed = std::mem::take(&mut self.passed);
        let mut bytes = 0;
        self.items.retain(|item| {
            let had = match item {
                Item::Message { received, .. } => passed.iter().any(|p| p.covers(received.seq, &received.message)),
                Item::Gap(_) => false,
            };
            bytes += if had { 0 } else { item.bytes() };
            !had
        });
        self.bytes = bytes;
        self.passed = passed;
        true
    }

    fn pass(&mut self, passed: Passed) {
        if passed.after < passed.to {
            self.passed.push(passed);
            if self.passed.len() > MAX_PASSED {
                self.passed.remove(0);
            }
        }
    }

    /// Ranges that the cursor has reached say nothing any more.
    pub(super) fn forget_passed(&mut self) {
        let acknowledged = self.acknowledged;
        self.passed.retain(|passed| passed.to > acknowledged);
    }
}
