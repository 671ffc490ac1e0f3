//! Going on under another id: what was had under the one before, and what is still to come under the one that was taken.
//!
//! 1. (S1) Everything for the id that was taken is offered from where its receiving stood, also what this inbox read past.
//! 2. (S2) What was acknowledged under either id is not offered again.
//!
//! Not here: taking and offering (`super`), keeping it on disk (`crate::engine::messages::outbox`).

use super::{Inbox, Item};
use crate::cluster::ids::{MessageSeq, NodeId};
use crate::cluster::messages::message::Message;
use serde::{Deserialize, Serialize};

/// How many ranges are kept.
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
    /// What was for one of these ids, too, only behind `after`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub strict: bool,
}

impl Passed {
    /// Whether a message was acknowledged under these ids: one for everybody since receiving began there, one for them mostly at any
    /// time.
    pub(super) fn covers(&self, seq: MessageSeq, message: &Message) -> bool {
        let behind = self.after < seq;
        let mine = |to: &Vec<NodeId>| (behind || !self.strict) && to.iter().any(|id| self.ids.contains(id));
        seq <= self.to && message.to.as_ref().map_or(behind, mine)
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
    strict: bool,
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
        self.passed.extend(place.passed);
        if self.ids.contains(&place.owner) {
            self.began = place.began.min(self.acknowledged);
        } else {
            self.pass(Passed { after: place.began, to: kept, ids: vec![place.owner], strict: false });
        }
        self.unmarked = self.passed.iter().map(|passed| passed.to).fold(self.unmarked, MessageSeq::max);
    }

    /// Goes on under other ids, the first of which was known: its receiving stood at `stood`, and had begun at `began`, where that is
    /// known. Reads on from the earlier of both positions.
    pub fn rename(&mut self, ids: Vec<NodeId>, stood: MessageSeq, began: Option<MessageSeq>) {
        let taken = ids.iter().filter(|id| !self.ids.contains(id)).cloned().collect();
        let own = std::mem::replace(&mut self.ids, ids);
        let at = self.acknowledged;
        let read = self.read;
        // What was for everybody before it began there was not had; where nobody knows, none of it was.
        let began = began.map_or(stood, |began| began.clamp(at.min(stood), stood));
        self.pass(Passed { after: began, to: stood, ids: taken, strict: false });
        self.go_back(stood.min(at), own, false);
        // Read anew: what was read for the ids before left out what is for the one that was taken.
        self.unmarked = self.unmarked.max(read);
    }

    /// Reads on from an earlier position; what was acknowledged under these ids meanwhile does not come again.
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
        self.pass(Passed { after: before.began, to: cursor, ids: before.ids, strict: before.strict });
        let passed = std::mem::take(&mut self.passed);
        self.keep_items(|item| match item {
            Item::Message { received, .. } => !passed.iter().any(|p| p.covers(received.seq, &received.message)),
            Item::Gap(_) => true,
        });
        self.passed = passed;
        true
    }

    /// They are kept when the cursor has reached them, too: a later rename may go back before them.
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
