//! What of the file is kept in memory, because it is asked for often or small.
//!
//! 1. Memory changes only after the transaction that changed the file was committed.
//! 2. At most [`MAX_MARKS`] producers are kept; those that were not touched for longest go first.
//!
//! Not here: the transaction itself (`transaction.rs`).

use crate::cluster::ids::{Incarnation, MessageSeq, Nonce};
use crate::cluster::messages::inbox::Place;
use crate::cluster::messages::message::Producer;
use crate::cluster::protocol::Numbers;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};

/// How many producers' marks are kept.
pub(super) const MAX_MARKS: usize = 10_000;

/// How many producers of this node are kept besides the store's.
const MAX_PRODUCERS: usize = 32;

/// How much waits to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Unsent {
    /// Messages that wait.
    pub messages: u64,
    /// Their bytes, as JSON.
    pub bytes: u64,
    /// The producer sequence given out last; 0: none yet.
    pub last_accepted_seq: u64,
}

/// What a node knew last.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Saved {
    /// Its life; 0: never joined.
    pub incarnation: Incarnation,
    /// The data epoch that the cursor belongs to.
    pub epoch: Option<Nonce>,
    /// The last message it acknowledged.
    pub cursor: Option<MessageSeq>,
    /// The highest numbers it has seen.
    pub numbers: Numbers,
    /// The highest sequence it has seen of each producer.
    pub marks: BTreeMap<Producer, u64>,
    /// What belongs to the cursor.
    pub place: Option<Place>,
    /// Producers of this node besides the store's: of stores that it took over, and its own earlier ones.
    pub producers: Vec<Producer>,
}

/// What to change of [`Saved`]; what is absent stays.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SavedChange {
    /// A new life.
    pub incarnation: Option<Incarnation>,
    /// Another data epoch.
    pub epoch: Option<Nonce>,
    /// Another cursor, also an earlier one.
    pub cursor: Option<MessageSeq>,
    /// What belongs to the cursor.
    pub place: Option<Place>,
    /// Numbers seen; each only ever rises.
    pub numbers: Option<Numbers>,
    /// Marks seen; each only ever rises.
    pub marks: BTreeMap<Producer, u64>,
    /// More producers of this node.
    pub producers: Vec<Producer>,
    /// Whether the change must be on disk before the call answers.
    pub durable: bool,
}

/// All of [`Saved`] but the marks, as the file keeps it.
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
    /// The last sequence from before the first process that accepted messages and did not ask for the producer's mark.
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

/// A producer's mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) seq: u64,
    /// When it was touched, as a rising number.
    pub(super) touched: u64,
}

/// The copy in memory.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) unsent: Unsent,
    pub(super) facts: Facts,
    /// The last sequence when the file was opened, and whether the stream was asked since.
    pub(super) began: u64,
    pub(super) confirmed: bool,
    /// How many adopted messages wait.
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

    /// Which producers to forget once those of `changed` are in.
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
