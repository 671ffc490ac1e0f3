//! Receiving calls: whose turn it is, what they are offered, and how soon that has to be read.
//!
//! 1. Calls receive one at a time; the next one begins once the inbox knows what the one before acknowledges.
//! 2. While somebody receives, or follows the messages as events, the reader reads each one as it comes.
//!
//! Not here: acknowledging (`super`), reading (`reading.rs`).

use super::Sync;
use crate::cluster::event::{Direction, LocalFact};
use crate::cluster::messages::inbox::Offer;
use crate::cluster::messages::message::Received;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, OwnedMutexGuard};

/// The maximum number of bytes of messages in one answer.
const ANSWER_BYTES: usize = 4 << 20;

/// How long the reader rests while nobody waits for messages, so that many small ones are one read.
const REST: Duration = Duration::from_millis(20);

/// How long a call waits at least for the answers before it.
const SHORTEST_TURN: Duration = Duration::from_secs(2);

/// What a call gets.
pub(crate) struct Offered {
    /// To be given back when the inbox knows what is acknowledged of it.
    pub(crate) turn: OwnedMutexGuard<()>,
    pub(crate) offer: Offer,
}

/// An earlier answer is still being written.
pub(crate) struct Busy;

/// How many calls receive.
#[derive(Debug, Default)]
pub(super) struct Demand {
    calls: AtomicUsize,
    began: Notify,
}

/// A call that receives.
struct Receiving<'d>(&'d Demand);

impl Demand {
    fn begin(&self) -> Receiving<'_> {
        self.calls.fetch_add(1, Ordering::AcqRel);
        self.began.notify_one();
        Receiving(self)
    }
}

impl Drop for Receiving<'_> {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Sync {
    /// Waits until somebody wants what is read next, or a moment is over.
    pub(crate) async fn demanded(&self) {
        if self.demand.calls.load(Ordering::Acquire) > 0 || self.hub.wants_messages() {
            return;
        }
        // Nobody in time: then it is read so that the cursor goes on.
        let _ = tokio::time::timeout(REST, self.demand.began.notified()).await;
    }

    /// Held from an answer with messages until it is written and acknowledged; a later caller waits briefly for it, so that
    /// its answer covers that acknowledgement.
    pub(crate) async fn delivering(&self, within: Duration) -> Option<OwnedMutexGuard<()>> {
        tokio::time::timeout(within, Arc::clone(&self.delivering).lock_owned()).await.ok()
    }

    /// Offers messages, waiting up to `wait` for the first one; `None`: the node does not receive. What the stream held when this was called
    /// is among them, as far as `limit` allows.
    ///
    /// # Errors
    /// [`Busy`] when an earlier answer is still being written.
    pub(crate) async fn receive(&self, limit: usize, wait: Duration) -> Result<Option<Offered>, Busy> {
        let _receiving = self.demand.begin();
        let turn = tokio::time::timeout(wait.max(SHORTEST_TURN), Arc::clone(&self.receiving).lock_owned());
        // At the same time, so that a call that waits for its turn need not ask Redis afterwards.
        let (turn, caught_up) = tokio::join!(turn, self.catch_up(limit));
        let turn = turn.map_err(|_| Busy)?;
        if !caught_up {
            // Enough was there, but for the calls before this one.
            self.catch_up(limit).await;
        }
        let waiting = async {
            loop {
                let arrived = self.arrived.notified();
                tokio::pin!(arrived);
                arrived.as_mut().enable();
                let ready = self.inbox().as_ref().is_none_or(|inbox| !inbox.is_empty());
                if ready || self.status.borrow().instance().is_none() {
                    return;
                }
                arrived.await;
            }
        };
        if !wait.is_zero() && limit > 0 {
            // Nothing arrived in time: the offer is empty.
            let _ = tokio::time::timeout(wait, waiting).await;
        }
        let offer = self.inbox().as_mut().map(|inbox| inbox.offer(limit, ANSWER_BYTES));
        Ok(offer.map(|offer| {
            self.announce(&offer.received);
            Offered { turn, offer }
        }))
    }

    fn announce(&self, received: &[Received]) {
        if let (Some(first), Some(last)) = (received.first(), received.last()) {
            let count = received.len() as u64;
            let direction = Direction::Received;
            self.hub.publish_local(LocalFact::SyncComplete { direction, count, first: first.seq, last: last.seq });
        }
    }
}
