//! The queue in front of the writer: small calls get their sequences here, so that they can be sent before the writer comes to them.
//!
//! 1. Sequences rise in the order of the queue. Behind a call that gets its sequences from the writer, all get theirs there.
//! 2. What gets a sequence here cannot be refused by the writer, but for a failure of the disk: it has no ids to compare, and there is room
//!    for it.
//! 3. Only sequences that the file durably reserves are given; those of a failed call are not given again (`ahead.rs`).
//!
//! Not here: the transactions (`writer.rs`, `transaction.rs`).

use super::Shared;
use super::job::Job;
use super::prepared::Prepared;
use std::sync::atomic::Ordering;

/// The maximum bytes of messages that are copied so that they need not wait for the changes to the tables. Beyond that, the copy costs more
/// than the wait.
const COPIED_BYTES: u64 = 64 << 10;

/// See the head of this file.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// The last sequence that was given to a call.
    pub(super) last: u64,
    /// The last sequence that the file durably reserves; 0: not known yet.
    pub(super) reserved: u64,
    /// The last sequence that has one from here and is not ready to be sent: it has to be read from the file.
    pub(super) unready: u64,
    /// The bytes of the messages that have sequences and are not written yet.
    bytes: u64,
    /// How many calls wait to get sequences from the writer.
    unnumbered: usize,
}

/// What the calls of a group hold in the line.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Places {
    bytes: u64,
    unnumbered: usize,
}

impl Places {
    /// Of calls that were not carried out yet.
    pub(super) fn of(group: &[Job]) -> Self {
        let mut places = Self::default();
        for job in group {
            match job {
                Job::Accept { messages, first: Some(_), .. } => places.bytes += messages.bytes(),
                Job::Accept { first: None, .. } => places.unnumbered += 1,
                _ => {}
            }
        }
        places
    }
}

impl Line {
    /// The sequence of the first of these messages, if they get theirs here; the caller then calls [`Self::queued`].
    pub(super) fn next(&self, shared: &Shared, messages: &Prepared) -> Option<u64> {
        let bytes = messages.bytes();
        let last = self.last + messages.count as u64;
        if self.unnumbered > 0
            || !messages.keys.is_empty()
            || bytes > COPIED_BYTES
            || last > self.reserved
            || shared.suspect.load(Ordering::Acquire)
        {
            return None;
        }
        let memory = shared.memory();
        let fits = memory.unsent.bytes.saturating_add(self.bytes).saturating_add(bytes) <= shared.outbox_bytes;
        (memory.confirmed && fits).then_some(self.last + 1)
    }

    /// These messages are in the queue, under sequences from here on or without.
    pub(super) fn queued(&mut self, first: Option<u64>, count: usize, bytes: u64) {
        match first {
            Some(_) => {
                self.last += count as u64;
                self.bytes += bytes;
            }
            None => self.unnumbered += 1,
        }
    }

    /// Calls were carried out, or failed; the last sequence of all that the store knows.
    pub(super) fn left(&mut self, places: Places, last: u64) {
        self.bytes = self.bytes.saturating_sub(places.bytes);
        self.unnumbered = self.unnumbered.saturating_sub(places.unnumbered);
        self.last = self.last.max(last);
    }
}
