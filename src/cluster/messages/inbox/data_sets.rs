//! Another data set, and what it holds of the one before.
//!
//! 1. (S1) What the stream still holds is taken before the rest counts as lost.
//!
//! Not here: how the stream is read for it (`crate::engine::stream_reader`).

use super::{Inbox, Item};
use crate::cluster::ids::MessageSeq;
use crate::cluster::messages::message::Gap;
use crate::cluster::protocol::DataSet;

impl Inbox {
    /// Begins another data set. Of the messages before its beginning, those that the stream does not hold are lost, and their number is
    /// unknown. Where numbers were left out, messages that a server lost may have had them, and somebody who saw one may have begun the new
    /// data set, so the gap begins there. An empty epoch is not a data set yet: the next one is compared with the one that was read.
    /// True if the stream is to be read for what is left of those messages; see [`Self::found_nothing_after`].
    pub fn begin_epoch(&mut self, data: &DataSet) -> bool {
        if self.epoch == data.epoch || data.epoch.is_empty() {
            return false;
        }
        self.epoch.clone_from(&data.epoch);
        self.begins = data.message_start;
        self.marks.begin_data_set();
        let first = self.left_out.first().map(|(after, _)| after.next());
        self.left_out.clear();
        if self.seeks_remains() {
            self.doubted = self.doubted.into_iter().chain(first).min();
        }
        self.seeks_remains()
    }

    /// Whether messages of an earlier data set may still be in the stream.
    #[must_use]
    pub fn seeks_remains(&self) -> bool {
        self.read < self.begins
    }

    /// The stream holds nothing after this position: if it was read up to there, everything before the beginning of the data set is lost.
    pub fn found_nothing_after(&mut self, position: MessageSeq) {
        if position == self.read {
            self.give_up_remains();
        }
    }

    /// The messages before the beginning of the data set that wait.
    pub(super) fn remains(&self) -> u64 {
        let old = self.items.iter().take_while(|item| item.last() <= self.begins);
        old.filter(|item| matches!(item, Item::Message { .. })).count() as u64
    }

    /// How many messages are missing up to a position; `None` among what is left of an earlier data set, where numbers may have jumped.
    pub(super) fn hole(&self, to: u64) -> Option<u64> {
        (!self.seeks_remains()).then(|| to.saturating_sub(self.read.0))
    }

    /// The rest is lost.
    pub(super) fn give_up_remains(&mut self) {
        if !self.seeks_remains() {
            return;
        }
        self.push_gap(Gap { from: self.read.next(), to: self.begins, count: None });
        self.read = self.begins;
        if let Some((first, Item::Gap(gap))) = self.doubted.take().zip(self.items.back_mut()) {
            gap.from = gap.from.min(first);
        }
    }
}
