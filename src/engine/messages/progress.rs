//! The progress of sending the outbox, for callers that wait for it or ask for the position of a message.
//!
//! 1. It covers the sequences of one store; another store starts over.
//!
//! Not here: sending (`publisher.rs`).

use crate::cluster::ids::MessageSeq;
use crate::cluster::messages::message::Run;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// The maximum number of remembered runs of sent messages, from which the positions of messages are known.
const RUNS: usize = 1024;

/// See the head of this file.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    sent: AtomicU64,
    down: AtomicBool,
    runs: Mutex<VecDeque<Run>>,
    newest: AtomicU64,
    changed: Notify,
}

impl Progress {
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Acquire)
    }

    /// Starts over with another store, whose sequences are unrelated.
    pub(crate) fn reset(&self) {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.sent.store(0, Ordering::Release);
        self.down.store(false, Ordering::Release);
        self.changed.notify_waiters();
    }

    /// The highest published position.
    pub(crate) fn newest(&self) -> MessageSeq {
        MessageSeq(self.newest.load(Ordering::Acquire))
    }

    pub(crate) fn is_down(&self) -> bool {
        self.down.load(Ordering::Acquire)
    }

    pub(crate) fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::Release);
        self.changed.notify_waiters();
    }

    pub(crate) fn set_sent(&self, sent: &[Run]) {
        let Some(last) = sent.last() else { return };
        self.newest.fetch_max(last.end().0, Ordering::AcqRel);
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        runs.extend(sent);
        let surplus = runs.len().saturating_sub(RUNS);
        runs.drain(..surplus);
        drop(runs);
        self.sent.fetch_max(last.last, Ordering::AcqRel);
        self.changed.notify_waiters();
    }

    /// Finds the positions of sent messages, as far as they are still remembered.
    pub(crate) fn places(&self) -> Places<'_> {
        Places { runs: self.runs.lock().unwrap_or_else(PoisonError::into_inner), last: None }
    }

    /// Waits until everything up to `last` has been sent, sending fails, or `within` is over.
    pub(crate) async fn reach(&self, last: u64, within: Duration) {
        let waiting = async {
            loop {
                let changed = self.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if self.sent() >= last || self.is_down() {
                    return;
                }
                changed.await;
            }
        };
        // A timeout is fine: unsent messages count as queued.
        let _ = tokio::time::timeout(within, waiting).await;
    }
}

/// See [`Progress::places`].
pub(crate) struct Places<'p> {
    runs: MutexGuard<'p, VecDeque<Run>>,
    /// The run of the last position.
    last: Option<Run>,
}

impl Places<'_> {
    pub(crate) fn place(&mut self, producer_seq: u64) -> Option<MessageSeq> {
        if let Some(place) = self.last.and_then(|run| run.place(producer_seq)) {
            return Some(place);
        }
        self.last = self.runs.iter().rev().find(|run| run.place(producer_seq).is_some()).copied();
        self.last.and_then(|run| run.place(producer_seq))
    }
}
