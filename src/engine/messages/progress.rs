//! The progress of sending the outbox, for callers that wait for it or ask for the position of a message.
//!
//! 1. It covers the sequences of one store; another store starts over.
//!
//! Not here: sending (`publisher.rs`).

use crate::cluster::ids::MessageSeq;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// The maximum number of remembered runs of sent messages, from which the positions of messages are known.
const RUNS: usize = 1024;

/// See the head of this file.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    sent: AtomicU64,
    down: AtomicBool,
    runs: Mutex<VecDeque<(u64, u64, MessageSeq)>>,
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

    pub(crate) fn set_sent(&self, assigned: &[(u64, MessageSeq)]) {
        let (Some((first, seq)), Some((last, at))) = (assigned.first(), assigned.last()) else { return };
        self.newest.fetch_max(at.0, Ordering::AcqRel);
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        runs.push_back((*first, *last, *seq));
        if runs.len() > RUNS {
            runs.pop_front();
        }
        drop(runs);
        self.sent.fetch_max(*last, Ordering::AcqRel);
        self.changed.notify_waiters();
    }

    /// The position of a sent message, if it is still remembered.
    pub(crate) fn place(&self, producer_seq: u64) -> Option<MessageSeq> {
        let runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        let run = runs.iter().rev().find(|(first, last, _)| (*first..=*last).contains(&producer_seq))?;
        Some(MessageSeq(run.2.0 + (producer_seq - run.0)))
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
