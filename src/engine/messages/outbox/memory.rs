//! The part of the file's content that is kept in memory, because it is small or read often.
//!
//! 1. Memory changes only after the transaction that changed the file has been committed.
//! 2. The marks of at most [`MAX_MARKS`] producers are kept; the least recently updated ones are removed first.
//!
//! Not here: the transaction itself (`transaction.rs`).

use crate::cluster::ids::{Incarnation, MessageSeq, Nonce};
use crate::cluster::messages::inbox::Place;
use crate::cluster::messages::message::Producer;
use crate::cluster::protocol::Numbers;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};

/// The maximum number of producers whose marks are kept.
pub(super) const MAX_MARKS: usize = 10_000;

/// The maximum number of earlier producers of this node that are kept.
const MAX_PRODUCERS: usize = 32;

/// The amount of unsent messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Unsent {
    /// The number of unsent messages.
    pub messages: u64,
    /// Their size in bytes, as JSON.
    pub bytes: u64,
    /// The last producer sequence that was assigned; 0: none yet.
    pub last_accepted_seq: u64,
}

/// The last saved state of a node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Saved {
    /// The incarnation; 0: the node has never joined.
    pub incarnation: Incarnation,
    /// The data epoch of the cursor.
    pub epoch: Option<Nonce>,
    /// The last acknowledged message.
    pub cursor: Option<MessageSeq>,
    /// The highest sequence numbers that the node has seen.
    pub numbers: Numbers,
    /// The highest sequence that the node has seen of each producer.
    pub marks: BTreeMap<Producer, u64>,
    /// Details of the position of the cursor.
    pub place: Option<Place>,
    /// Further producers of this node: those of imported stores, and its own earlier ones.
    pub producers: Vec<Producer>,
}

/// A change of [`Saved`]; absent fields stay as they are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SavedChange {
    /// A new incarnation.
    pub incarnation: Option<Incarnation>,
    /// A new data epoch.
    pub epoch: Option<Nonce>,
    /// A new cursor, which may be an earlier one.
    pub cursor: Option<MessageSeq>,
    /// Details of the position of the cursor.
    pub place: Option<Place>,
    /// Sequence numbers; each only rises.
    pub numbers: Option<Numbers>,
    /// Marks; each only rises.
    pub marks: BTreeMap<Producer, u64>,
    /// Further producers of this node.
    pub producers: Vec<Producer>,
    /// Whether the change must be on disk before the call returns.
    pub durable: bool,
}

/// All of [`Saved`] except the marks, as stored in the file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Facts {
    incarnation: Incarnation,
    epoch: Option<Nonce>,
    cursor: Option<MessageSeq>,
    numbers: Numbers,
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<Place>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    producers: Vec<Producer>,
    /// The last sequence from before the first process that accepted messages without checking its producer's mark.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) unconfirmed: Option<u64>,
}

impl Facts {
    /// A message of this node stood at this position.
    pub(super) fn saw_message(&mut self, seq: MessageSeq) {
        self.numbers.message = self.numbers.message.max(seq.0);
    }

    pub(super) fn apply(&mut self, change: &SavedChange) {
        self.incarnation = change.incarnation.unwrap_or(self.incarnation);
        self.epoch = change.epoch.clone().or(self.epoch.take());
        self.cursor = change.cursor.or(self.cursor);
        self.place = change.place.clone().or(self.place.take());
        self.numbers = self.numbers.max(change.numbers.unwrap_or_default());
        for producer in &change.producers {
            if !self.producers.contains(producer) {
                self.producers.push(producer.clone());
            }
        }
        let surplus = self.producers.len().saturating_sub(MAX_PRODUCERS);
        self.producers.drain(..surplus);
    }
}

/// The mark of a producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) seq: u64,
    /// When it was last updated, as a rising number.
    pub(super) touched: u64,
}

/// The copy in memory.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) unsent: Unsent,
    pub(super) facts: Facts,
    /// The last sequence when the file was opened, and whether the mark has been checked since.
    pub(super) began: u64,
    pub(super) confirmed: bool,
    /// The last sequence that the file reserves; see `ahead.rs`.
    pub(super) reserved: u64,
    /// The number of rows of imported messages that wait to be sent.
    pub(super) adopted: u64,
    pub(super) marks: HashMap<Producer, Mark>,
    /// The highest `touched`.
    pub(super) touches: u64,
}

impl Memory {
    pub(super) fn saved(&self) -> Saved {
        let facts = self.facts.clone();
        Saved {
            incarnation: facts.incarnation,
            epoch: facts.epoch,
            cursor: facts.cursor,
            numbers: facts.numbers,
            place: facts.place,
            producers: facts.producers,
            marks: self.marks.iter().map(|(producer, mark)| (producer.clone(), mark.seq)).collect(),
        }
    }

    /// The producers to forget once those of `changed` are stored.
    pub(super) fn superfluous(&self, changed: &HashMap<Producer, Mark>) -> Vec<Producer> {
        let added = changed.keys().filter(|producer| !self.marks.contains_key(producer)).count();
        let count = (self.marks.len() + added).saturating_sub(MAX_MARKS);
        if count == 0 {
            return Vec::new();
        }
        let old = self.marks.iter().filter(|(producer, _)| !changed.contains_key(producer));
        let mut oldest: Vec<_> = old.chain(changed).map(|(producer, mark)| (mark.touched, producer)).collect();
        oldest.sort_unstable();
        oldest.into_iter().take(count).map(|(_, producer)| producer.clone()).collect()
    }
}
