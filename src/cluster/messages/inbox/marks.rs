//! The marks of producers: up to which sequence the messages of each are known, so that a message that is in the stream
//! twice is taken once.
//!
//! 1. (S1) A message that was read, given up unacknowledged, and is to be read again is not known: if the stream loses it
//!    before that, the producer sends it again, and it must be taken.
//! 2. (S2) An acknowledged message stays known.
//! 3. (S2) When the stream is read again under another id, the marks of the previous id say nothing about a message for one
//!    node. They do for a message to all: one that was acknowledged before Redis lost it, and was sent again, is not
//!    offered again.
//!
//! Not here: which messages are for this node (`super`), saving marks on disk (`crate::engine::messages::outbox`).

use crate::cluster::messages::message::Producer;
use std::collections::BTreeMap;

/// The marks of an inbox; see the head of this file.
#[derive(Debug, Default)]
pub(super) struct Marks {
    read: BTreeMap<Producer, u64>,
    acknowledged: BTreeMap<Producer, u64>,
    /// The part of `acknowledged` that is not on disk yet.
    fresh: BTreeMap<Producer, u64>,
    /// The first and the last sequence of each producer that this process had acknowledged, of messages to all.
    had: BTreeMap<Producer, (u64, u64)>,
    /// The value of `had` at the end of the previous data set: such a message can only be a copy in the stream.
    had_before: BTreeMap<Producer, (u64, u64)>,
}

fn raise(marks: &mut BTreeMap<Producer, u64>, producer: &Producer, own: u64) {
    match marks.get_mut(producer) {
        Some(mark) => *mark = own.max(*mark),
        None => drop(marks.insert(producer.clone(), own)),
    }
}

impl Marks {
    /// Marks from sequences that earlier processes acknowledged.
    pub(super) fn new(kept: BTreeMap<Producer, u64>) -> Self {
        Self { read: kept.clone(), acknowledged: kept, ..Self::default() }
    }

    /// Whether this message was read.
    pub(super) fn has_read(&self, producer: &Producer, own: u64) -> bool {
        self.read.get(producer).is_some_and(|mark| own <= *mark)
    }

    /// Marks a message as read.
    pub(super) fn read(&mut self, producer: &Producer, own: u64) {
        raise(&mut self.read, producer, own);
    }

    /// Marks a message to all as offered and acknowledged.
    pub(super) fn have(&mut self, producer: &Producer, own: u64, lost: bool) {
        for spans in std::iter::once(&mut self.had).chain(lost.then_some(&mut self.had_before)) {
            let span = spans.entry(producer.clone()).or_insert((own, own));
            *span = (own.min(span.0), own.max(span.1));
        }
    }

    /// Begins another data set.
    pub(super) fn begin_data_set(&mut self) {
        self.had_before.clone_from(&self.had);
    }

    /// Whether this message to all was acknowledged in an earlier data set.
    pub(super) fn had_before(&self, producer: &Producer, own: u64) -> bool {
        self.had_before.get(producer).is_some_and(|(first, last)| (*first..=*last).contains(&own))
    }

    /// Marks a message as acknowledged.
    pub(super) fn acknowledge(&mut self, producer: &Producer, own: u64) {
        raise(&mut self.acknowledged, producer, own);
        raise(&mut self.fresh, producer, own);
    }

    /// Adds the acknowledged sequences of a store on disk.
    pub(super) fn adopt(&mut self, kept: BTreeMap<Producer, u64>) {
        for (producer, own) in kept {
            raise(&mut self.acknowledged, &producer, own);
            raise(&mut self.read, &producer, own);
        }
    }

    /// Replaces the marks by the acknowledged sequences of a store on disk; everything else is read again.
    pub(super) fn replace(&mut self, kept: BTreeMap<Producer, u64>) {
        (self.read, self.acknowledged) = (kept.clone(), kept);
    }

    /// Forgets what is only read: it is read again.
    pub(super) fn read_again(&mut self) {
        self.read.clone_from(&self.acknowledged);
    }

    /// The sequences acknowledged since the last call, to be saved.
    pub(super) fn take_fresh(&mut self) -> BTreeMap<Producer, u64> {
        std::mem::take(&mut self.fresh)
    }

    /// Takes back sequences that could not be saved.
    pub(super) fn return_fresh(&mut self, marks: BTreeMap<Producer, u64>) {
        for (producer, own) in marks {
            raise(&mut self.fresh, &producer, own);
        }
    }
}
