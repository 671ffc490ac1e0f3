//! The unsent messages that are still in memory, so that the sender does not read from the file what was just written.
//!
//! 1. They are on disk, or in the queue to it: losing them here costs a read, never a message that was answered.
//! 2. At most [`MAX_BYTES`] are kept. What does not fit is sent from the file.
//!
//! Not here: the file (`rows.rs`).

use super::rows::Batch;
use crate::cluster::protocol::Packed;
use std::collections::VecDeque;

/// The maximum number of bytes. Raising it helps a sender that is slower than its clients for a moment, and costs memory in every node.
const MAX_BYTES: usize = 8 << 20;

/// See the head of this file.
#[derive(Debug, Default)]
pub(super) struct Ready {
    /// Without holes in their producer sequences.
    entries: VecDeque<Packed>,
    bytes: usize,
}

impl Ready {
    /// Adds messages, as far as they follow what is here and fit; false: not all of them.
    pub(super) fn add(&mut self, written: Vec<Packed>) -> bool {
        for entry in written {
            let follows = self.entries.back().is_none_or(|last| last.last() + 1 == entry.first);
            if !follows || self.bytes + entry.body.len() > MAX_BYTES {
                return false;
            }
            self.bytes += entry.body.len();
            self.entries.push_back(entry);
        }
        true
    }

    /// Moves the messages that follow a producer sequence into a batch; none if the next one is not here.
    pub(super) fn take(&mut self, after: u64, batch: &mut Batch) {
        while self.entries.front().is_some_and(|entry| entry.last() <= after) {
            self.pop();
        }
        if self.entries.front().is_none_or(|entry| entry.first != after + 1) {
            return;
        }
        while let Some(entry) = self.pop() {
            if let Some(entry) = batch.add(entry) {
                self.bytes += entry.body.len();
                self.entries.push_front(entry);
                return;
            }
        }
    }

    fn pop(&mut self) -> Option<Packed> {
        let entry = self.entries.pop_front()?;
        self.bytes = self.bytes.saturating_sub(entry.body.len());
        Some(entry)
    }

    /// Forgets what was sent. Of an entry that was sent in part, the file holds the rest.
    pub(super) fn sent(&mut self, last: u64) {
        while self.entries.front().is_some_and(|entry| entry.first <= last) {
            self.pop();
        }
    }

    /// Forgets everything: the file holds it.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(first: u64, count: u64, bytes: usize) -> Packed {
        Packed { first, count, body: "x".repeat(bytes) }
    }

    fn taken(ready: &mut Ready, after: u64) -> Vec<(u64, u64)> {
        let mut batch = Batch::new(2, usize::MAX);
        ready.take(after, &mut batch);
        batch.finish().iter().map(|entry| (entry.first, entry.count)).collect()
    }

    #[test]
    fn what_follows_is_taken_in_order_and_what_was_sent_is_forgotten() {
        let mut ready = Ready::default();
        ready.add(vec![entry(5, 3, 10), entry(8, 1, 10), entry(9, 2, 10)]);
        assert_eq!(taken(&mut ready, 0), [], "1 to 4 are on disk only");
        assert_eq!(taken(&mut ready, 4), [(5, 3), (8, 1)]);
        assert_eq!(taken(&mut ready, 4), [], "a write that failed is repeated from the disk");
        assert_eq!(taken(&mut ready, 10), []);
        assert_eq!((ready.entries.len(), ready.bytes), (0, 0));
        ready.add(vec![entry(11, 4, 10), entry(15, 1, 10)]);
        ready.sent(12);
        assert_eq!(taken(&mut ready, 12), [], "the rest of an entry is read from the disk");
        assert_eq!(taken(&mut ready, 14), [(15, 1)]);
        ready.add(vec![entry(20, 4, 10)]);
        assert_eq!(taken(&mut ready, 21), [], "a part of an entry is read from the disk");
        assert_eq!(taken(&mut ready, 19), [(20, 4)]);
    }

    #[test]
    fn memory_is_bounded_and_never_has_a_hole() {
        let mut ready = Ready::default();
        ready.add((1..=10).map(|seq| entry(seq, 1, MAX_BYTES / 4)).collect());
        assert_eq!((ready.entries.len(), ready.bytes), (4, MAX_BYTES));
        assert_eq!(taken(&mut ready, 0), [(1, 1), (2, 1)]);
        ready.add(vec![entry(11, 1, 1)]);
        assert_eq!(taken(&mut ready, 2), [(3, 1), (4, 1)]);
        assert_eq!(taken(&mut ready, 4), []);
        ready.add(vec![entry(12, 1, 1)]);
        assert_eq!(taken(&mut ready, 11), [(12, 1)]);
    }
}
