//! Takes the state of a store on disk into an inbox: at its beginning, or later, when another process gave up the store.
//!
//! 1. (S2) Messages that the store's cursor, ranges and marks cover are not offered again, even if this inbox read them
//!    before it had the store.
//! 2. A node's own messages are those of its store, those of the stores that it imported, and those from its current id: an
//!    id that it had before may belong to another process.
//!
//! 3. (S1) A store whose cursor is before this data set shows what was lost, and that its client has received nothing of
//!    this data set, whatever another process received under the id in the meantime.
//!
//! Not here: the store (`crate::engine::messages::outbox`).

use super::{Inbox, Item, Place};
use crate::cluster::ids::MessageSeq;
use crate::cluster::messages::message::Producer;
use crate::cluster::protocol::Entry;
use std::collections::BTreeMap;

/// The state of a store on disk, as far as an inbox needs it.
#[derive(Debug, Clone, Default)]
pub struct Kept {
    /// The producers of this node's own messages.
    pub own: Vec<Producer>,
    /// The producers' sequences that were acknowledged.
    pub marks: BTreeMap<Producer, u64>,
    /// The position that clients acknowledged, and its data set.
    pub cursor: Option<(MessageSeq, String)>,
    /// The details of that cursor.
    pub place: Option<Place>,
}

impl Inbox {
    /// Adds producers of this node's own messages.
    pub fn owns(&mut self, producers: impl IntoIterator<Item = Producer>) {
        for producer in producers {
            if !self.own.contains(&producer) {
                self.own.push(producer);
            }
        }
        let own = std::mem::take(&mut self.own);
        self.keep_items(|item| !matches!(item, Item::Message { producer, .. } if own.contains(producer)));
        self.own = own;
    }

    /// Whether this node sent the entry.
    pub(super) fn is_own(&self, entry: &Entry) -> bool {
        self.own.contains(&entry.producer) || self.ids.first() == Some(&entry.from)
    }

    /// Takes the state of a store that came later than the membership. True: reading continues at an earlier position.
    pub fn adopt(&mut self, kept: Kept) -> bool {
        self.own = Vec::new();
        self.owns(kept.own);
        let owned = kept.place.as_ref().is_none_or(|place| self.ids.contains(&place.owner));
        let before = kept
            .cursor
            .as_ref()
            .filter(|(cursor, epoch)| owned && !epoch.is_empty() && (*epoch != self.epoch || *cursor < self.begins));
        let from = before.map(|(cursor, _)| self.begins.min(*cursor)).filter(|from| *from < self.began);
        if let Some(from) = from {
            self.go_back(from, self.ids.clone(), true);
            if let Some(place) = kept.place {
                self.extend_passed(place.passed);
            }
            self.marks.replace(kept.marks);
            return true;
        }
        // Positions are of one data set only, and what is left of an earlier one may be read again.
        if let Some((cursor, epoch)) = kept.cursor.filter(|(_, epoch)| !epoch.is_empty()) {
            if let Some(place) = kept.place {
                self.resume(place, cursor);
            }
            if owned && epoch == self.epoch {
                self.cover(cursor);
            }
        }
        let (unmarked, passed) = (self.unmarked, std::mem::take(&mut self.passed));
        self.keep_items(|item| {
            let Item::Message { received, producer, own } = item else { return true };
            let marked = kept.marks.get(producer).is_some_and(|mark| own <= mark) && received.seq > unmarked;
            !marked && !passed.iter().any(|passed| passed.covers(received.seq, &received.message))
        });
        self.passed = passed;
        self.marks.adopt(kept.marks);
        false
    }

    /// Takes an acknowledgement of an earlier process.
    fn cover(&mut self, cursor: MessageSeq) {
        if cursor > self.acknowledged {
            self.acknowledged = cursor;
            self.offered = self.offered.max(cursor);
            self.drop_acknowledged();
        }
    }

    /// Removes waiting items that `keep` rejects.
    pub(super) fn keep_items(&mut self, keep: impl Fn(&Item) -> bool) {
        let waiting = self.items.len();
        self.items.retain(keep);
        if self.items.len() < waiting {
            self.keep_alone(0, usize::MAX);
        }
        self.bytes = self.items.iter().map(Item::bytes).sum();
    }
}
