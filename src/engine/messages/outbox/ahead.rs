//! Sending messages while they are written to disk, so that a receiver does not wait for the sender's disk.
//!
//! 1. (S1) A call is answered after the disk, as ever: what is sent ahead was not answered yet, and a kill in between leaves a
//!    message that was delivered and that nobody counts on.
//! 2. A sequence that was sent ahead is never given to another message, whether its transaction succeeds, fails, or is cut off by a
//!    kill: the file reserves sequences before they are used, a process begins after all that were reserved, and a failed
//!    transaction does not give its own back.
//! 3. A message with an id of a client's waits for the disk: if the client sends it again after a kill, the id must be known.
//!
//! Not here: who sends (`super::super::publisher`), the memory that is sent from (`ready.rs`).

use super::Shared;
use super::job::{Job, Woken};
use super::line::Places;
use super::memory::Memory;
use super::transaction::Change;
use crate::cluster::protocol::Packed;

/// How many sequences are reserved at a time. A process that begins skips at most so many of 2^53.
const RESERVED: u64 = 1 << 20;

/// What this process sent ahead of the disk.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    /// The last sequence that the file durably reserves.
    reserved: u64,
    /// The last sequence that was sent ahead in the transaction under way.
    sent: Option<u64>,
    /// The last sequence of an answered call, since a transaction failed whose messages were sent ahead.
    answered: Option<u64>,
}

/// What to call when messages of these calls can be sent; `None` if some of them have to wait for the disk.
pub(super) fn wakers(group: &[Job]) -> Option<Vec<Woken>> {
    let mut wakers = Vec::new();
    for job in group {
        if let Job::Accept { messages, woken, first: None, .. } = job {
            wakers.push(woken.clone().filter(|_| messages.keys.is_empty())?);
        }
    }
    (!wakers.is_empty()).then_some(wakers)
}

impl Ahead {
    /// Whether the file reserves the sequences of these messages.
    pub(super) fn covers(&self, messages: &[Packed]) -> bool {
        messages.last().is_some_and(|entry| entry.last() <= self.reserved)
    }

    /// Lets these messages be sent.
    pub(super) fn go(&mut self, shared: &Shared, messages: Vec<Packed>, wakers: &[Woken]) {
        self.sent = messages.last().map(Packed::last);
        shared.ready().add(messages);
        wakers.iter().for_each(|woken| (woken.0)());
    }

    /// Called after a transaction.
    pub(super) fn committed(&mut self, shared: &Shared, places: Places, durable: bool) {
        self.sent = None;
        self.answered = None;
        let mut line = shared.line();
        let memory = shared.memory();
        line.left(places, memory.unsent.last_accepted_seq);
        if durable {
            self.reserved = memory.reserved;
            line.reserved = memory.reserved;
        }
    }

    /// Called after a transaction that failed: its sequences are not used again.
    pub(super) fn failed(&mut self, shared: &Shared, places: Places) {
        let mut line = shared.line();
        line.left(places, self.sent.take().unwrap_or_default());
        let mut memory = shared.memory_mut();
        let last = &mut memory.unsent.last_accepted_seq;
        if line.last > *last {
            // What is in memory only must not be sent from now on: its call is refused.
            shared.ready().clear();
            line.unready = line.last;
            self.answered.get_or_insert(*last);
            *last = line.last;
        }
    }

    /// The last sequence whose call was answered.
    pub(super) fn answered(&self, memory: &Memory) -> u64 {
        self.answered.unwrap_or(memory.unsent.last_accepted_seq)
    }
}

impl Change<'_> {
    /// Writes how many sequences are reserved, and reserves more if that is asked for and few are left.
    pub(super) fn reserve(&mut self) -> Result<u64, redb::Error> {
        let (mut reserved, more) = self.reserved;
        if more && reserved < self.counts.last_accepted_seq + RESERVED / 2 {
            reserved = self.counts.last_accepted_seq + RESERVED;
        }
        if reserved > 0 {
            self.numbers.insert("reserved_seq", reserved)?;
        }
        Ok(reserved)
    }
}
