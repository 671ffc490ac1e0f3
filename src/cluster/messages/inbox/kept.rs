//! What a store on disk knows, taken into an inbox: at its beginning, or later, when another process gave the store up.
//!
//! 1. (S2) What the store's cursor, ranges and marks cover is not offered again, also where this inbox read it before it had the store.
//! 2. A node's own messages are those of its store, of the stores that this one took over, and those from the id that it has now: an
//!    id that it had before may be another process's.
//!
//! 3. (S1) A store whose cursor lies before this data set shows what was lost, and that its client has had nothing of this one, whoever
//!    else received under the id meanwhile.
//!
//! Not here: the store (`crate::engine::messages::outbox`).

use super::{Inbox, Item, Place};
use crate::cluster::ids::MessageSeq;
use crate::cluster::messages::message::Producer;
use crate::cluster::protocol::Entry;
use std::collections::BTreeMap;

/// See the module's text.
#[derive(Debug, Clone, Default)]
pub struct Kept {
    /// Producers of this node's own messages.
    pub own: Vec<Producer>,
    /// The producers' sequences that were acknowledged.
    pub marks: BTreeMap<Producer, u64>,
    /// Up to where clients acknowledged, and in which data set.
    pub cursor: Option<(MessageSeq, String)>,
    /// What belongs to that cursor.
    pub place: Option<Place>,
}

impl Inbox {
    /// Messages of these producers are this node's own, too.
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

    /// The store on disk came later than the membership: what it knows was meant for this inbox. True: reading goes on further back.
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
            self.marks.replace(kept.marks);
            return true;
        }
        if let Some((cursor, _)) = kept.cursor.filter(|(_, epoch)| *epoch == self.epoch) {
            if let Some(place) = kept.place {
                self.resume(place, cursor);
            }
            if owned {
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

    /// An earlier process acknowledged up to here.
    fn cover(&mut self, cursor: MessageSeq) {
        if cursor > self.acknowledged {
            self.acknowledged = cursor;
            self.offered = self.offered.max(cursor);
            self.drop_acknowledged();
        }
    }

    /// Drops what waits and is not to be kept.
    pub(super) fn keep_items(&mut self, keep: impl Fn(&Item) -> bool) {
        self.items.retain(keep);
        self.bytes = self.items.iter().map(Item::bytes).sum();
    }
}
