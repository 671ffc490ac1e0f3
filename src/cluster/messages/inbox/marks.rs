//! Up to which of its sequences each producer's messages are known, so that one that stands in the stream twice is taken once.
//!
//! 1. (S1) What was read and then given up unacknowledged, to be read again, is not known: should the stream lose it before that, the
//!    producer sends it again, and it must be taken.
//! 2. (S2) What was acknowledged stays known.
//! 3. (S2) Where the stream is read again under another id, a mark of the id before says nothing about a message for one node. About a
//!    message for everybody it does: one that was acknowledged before Redis lost it, and was sent again, is not offered again.
//!
//! Not here: which messages are for this node (`super`), keeping marks on disk (`crate::engine::messages::outbox`).

use crate::cluster::messages::message::Producer;
use std::collections::BTreeMap;

/// See the module's text.
#[derive(Debug, Default)]
pub(super) struct Marks {
    read: BTreeMap<Producer, u64>,
    acknowledged: BTreeMap<Producer, u64>,
    /// The part of `acknowledged` that is not on disk yet.
    fresh: BTreeMap<Producer, u64>,
    /// The first and the last sequence of each producer that this process had acknowledged, of the messages for everybody.
    had: BTreeMap<Producer, (u64, u64)>,
    /// `had` at the end of the data set before: what it names may only stand in the stream as a copy.
    had_before: BTreeMap<Producer, (u64, u64)>,
}

fn raise(marks: &mut BTreeMap<Producer, u64>, producer: &Producer, own: u64) {
    match marks.get_mut(producer) {
        Some(mark) => *mark = own.max(*mark),
        None => drop(marks.insert(producer.clone(), own)),
    }
}

impl Marks {
    /// `kept` was acknowledged to earlier processes.
    pub(super) fn new(kept: BTreeMap<Producer, u64>) -> Self {
        Self { read: kept.clone(), acknowledged: kept, ..Self::default() }
    }

    /// Whether this message was read.
    pub(super) fn has_read(&self, producer: &Producer, own: u64) -> bool {
        self.read.get(producer).is_some_and(|mark| own <= *mark)
    }

    /// The message was read.
    pub(super) fn read(&mut self, producer: &Producer, own: u64) {
        raise(&mut self.read, producer, own);
    }

    /// A message for everybody was offered and acknowledged.
    pub(super) fn have(&mut self, producer: &Producer, own: u64, lost: bool) {
        for spans in std::iter::once(&mut self.had).chain(lost.then_some(&mut self.had_before)) {
            let span = spans.entry(producer.clone()).or_insert((own, own));
            *span = (own.min(span.0), own.max(span.1));
        }
    }

    /// The data set is another one.
    pub(super) fn begin_data_set(&mut self) {
        self.had_before.clone_from(&self.had);
    }

    /// Whether this message for everybody was acknowledged in a data set before.
    pub(super) fn had_before(&self, producer: &Producer, own: u64) -> bool {
        self.had_before.get(producer).is_some_and(|(first, last)| (*first..=*last).contains(&own))
    }

    /// The message was acknowledged.
    pub(super) fn acknowledge(&mut self, producer: &Producer, own: u64) {
        raise(&mut self.acknowledged, producer, own);
        raise(&mut self.fresh, producer, own);
    }

    /// A store on disk says what was acknowledged.
    pub(super) fn adopt(&mut self, kept: BTreeMap<Producer, u64>) {
        for (producer, own) in kept {
            raise(&mut self.acknowledged, &producer, own);
            raise(&mut self.read, &producer, own);
        }
    }

    /// A store on disk says what was acknowledged; all else is read again.
    pub(super) fn replace(&mut self, kept: BTreeMap<Producer, u64>) {
        (self.read, self.acknowledged) = (kept.clone(), kept);
    }

    /// What waited is read again.
    pub(super) fn read_again(&mut self) {
        self.read.clone_from(&self.acknowledged);
    }

    /// What was acknowledged since the last call, to be kept.
    pub(super) fn take_fresh(&mut self) -> BTreeMap<Producer, u64> {
        std::mem::take(&mut self.fresh)
    }

    /// Could not be kept.
    pub(super) fn return_fresh(&mut self, marks: BTreeMap<Producer, u64>) {
        for (producer, own) in marks {
            raise(&mut self.fresh, &producer, own);
        }
    }
}
