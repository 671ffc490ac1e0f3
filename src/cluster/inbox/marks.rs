//! Up to which of its sequences each producer's messages are known, so that one that stands in the stream twice is taken once.
//!
//! 1. (S1) What was read and then given up unacknowledged, to be read again, is not known: should the stream lose it before that, the
//!    producer sends it again, and it must be taken.
//! 2. (S2) What was acknowledged stays known.
//!
//! Not here: which messages are for this node (`super`), keeping marks on disk (`crate::engine::outbox`).

use crate::cluster::message::Producer;
use std::collections::BTreeMap;

/// See the module's text.
#[derive(Debug, Default)]
pub(super) struct Marks {
    read: BTreeMap<Producer, u64>,
    acknowledged: BTreeMap<Producer, u64>,
    /// The part of `acknowledged` that is not on disk yet.
    fresh: BTreeMap<Producer, u64>,
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
        Self { read: kept.clone(), acknowledged: kept, fresh: BTreeMap::new() }
    }

    /// Whether this message was read.
    pub(super) fn has_read(&self, producer: &Producer, own: u64) -> bool {
        self.read.get(producer).is_some_and(|mark| own <= *mark)
    }

    /// The message was read.
    pub(super) fn read(&mut self, producer: &Producer, own: u64) {
        raise(&mut self.read, producer, own);
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
