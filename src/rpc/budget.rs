//! The memory budget of one connection: lines that are being worked on, and answers that are not written yet.
//!
//! 1. Bytes are returned to the budget when their [`Held`] is dropped, wherever that happens.
//! 2. A request for more than the whole budget is granted when nothing else is held, so that it does not wait for ever.
//!
//! Not here: the size of the budgets (`connection.rs`, `batch.rs`).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Notify;

/// A bounded number of bytes that the parts of a connection share.
pub(crate) struct Budget {
    limit: usize,
    used: AtomicUsize,
    freed: Notify,
}

/// Bytes taken from a budget; dropping it returns them.
pub(crate) struct Held {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::AcqRel);
        self.budget.freed.notify_waiters();
    }
}

impl Budget {
    /// A budget of `limit` bytes.
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, used: AtomicUsize::new(0), freed: Notify::new() })
    }

    /// Takes bytes if the budget has room for them.
    pub(crate) fn try_take(self: &Arc<Self>, bytes: usize) -> Option<Held> {
        let fits = |used: usize| (used == 0 || used.saturating_add(bytes) <= self.limit).then(|| used + bytes);
        self.used.fetch_update(Ordering::AcqRel, Ordering::Acquire, fits).ok()?;
        Some(Held { budget: Arc::clone(self), bytes })
    }

    /// Takes bytes even if the budget has no room: for small texts that cannot be refused.
    pub(crate) fn take_anyway(self: &Arc<Self>, bytes: usize) -> Held {
        self.used.fetch_add(bytes, Ordering::AcqRel);
        Held { budget: Arc::clone(self), bytes }
    }

    /// Waits until the budget has room, then takes the bytes.
    pub(crate) async fn take(self: &Arc<Self>, bytes: usize) -> Held {
        if let Some(held) = self.try_take(bytes) {
            return held;
        }
        loop {
            let freed = self.freed.notified();
            tokio::pin!(freed);
            // Listen before the check, so that bytes freed in between are not missed.
            freed.as_mut().enable();
            if let Some(held) = self.try_take(bytes) {
                return held;
            }
            freed.await;
        }
    }

    /// Waits until at most half of the budget is in use.
    pub(crate) async fn half_free(&self) {
        if self.used() <= self.limit / 2 {
            return;
        }
        loop {
            let freed = self.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            if self.used() <= self.limit / 2 {
                return;
            }
            freed.await;
        }
    }

    /// How many bytes are in use.
    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[tokio::test]
    async fn what_does_not_fit_waits_and_what_is_too_large_passes_alone() {
        let budget = Budget::new(10);
        let large = budget.take(50).await;
        assert!(budget.try_take(1).is_none());
        let waiting = budget.take(6);
        tokio::pin!(waiting);
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(large);
        let six = waiting.await;
        assert!(budget.try_take(5).is_none() && budget.try_take(4).is_some());
        let more = budget.take_anyway(9);
        assert_eq!(budget.used(), 15);
        assert!(budget.half_free().now_or_never().is_none());
        drop((six, more));
        budget.half_free().await;
        assert_eq!(budget.used(), 0);
    }
}
