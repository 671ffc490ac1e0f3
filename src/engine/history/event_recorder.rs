//! Copies the cluster's events from the stream in Redis into the history store, once for the whole cluster.
//!
//! 1. The leader copies them. Another node does so only if the store is behind by more than [`LATE_AFTER`], because the leader
//!    may have no such store.
//! 2. An event that is copied twice is stored once; an event that the store does not accept now is still in the stream
//!    later.
//!
//! Not here: heartbeats (`recorder.rs`), delivering events to subscribers (`crate::engine::events`).

use crate::clock;
use crate::cluster::ids::EventSeq;
use crate::cluster::time::Moment;
use crate::engine::events::Hub;
use crate::engine::node::status::Status;
use crate::store::Store;
use crate::store::history::{HistoryFault, HistoryStore};
use crate::store::redis::RedisStore;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// The pause between two copies by the leader.
const EVENT_FLUSH_DELAY: Duration = Duration::from_secs(1);
/// How often other nodes check whether events are being copied.
const COPY_CHECK_INTERVAL: Duration = Duration::from_secs(30);
/// The age of a missing event after which any node copies it.
const LATE_AFTER: Duration = Duration::from_mins(1);
/// The pause after a failure.
const WRITE_RETRY_DELAY: Duration = Duration::from_secs(5);
/// The maximum number of events of one copy.
const PAGE: usize = 500;

/// See the head of this file.
pub(super) struct EventRecorder<S> {
    pub(super) store: Arc<S>,
    pub(super) redis: Arc<RedisStore>,
    pub(super) hub: Arc<Hub>,
    pub(super) status: watch::Receiver<Status>,
}

/// The data set and the position up to which its events are in the store.
type Recorded = Option<(String, EventSeq)>;

impl<S: HistoryStore> EventRecorder<S> {
    /// Runs until the node is gone.
    pub(super) async fn run(self) {
        let mut recorded: Recorded = None;
        let mut looked = clock::now();
        let mut refused = false;
        loop {
            tokio::time::sleep(EVENT_FLUSH_DELAY).await;
            match self.look(&mut recorded, &mut looked).await {
                Ok(()) => refused = false,
                Err(fault) => {
                    if matches!(fault, HistoryFault::Refused(_)) && !std::mem::replace(&mut refused, true) {
                        tracing::warn!(error = %fault, "cannot write cluster events to the history; retrying");
                    }
                    recorded = None;
                    tokio::time::sleep(WRITE_RETRY_DELAY).await;
                }
            }
        }
    }

    async fn look(&self, recorded: &mut Recorded, looked: &mut Moment) -> Result<(), HistoryFault> {
        let (leads, epoch) = {
            let status = self.status.borrow();
            (status.leads && status.link, status.epoch.clone())
        };
        if epoch.is_empty() {
            return Ok(());
        }
        let known = recorded.take().filter(|(of, _)| leads && *of == epoch).map(|(_, seq)| seq);
        if let Some(known) = known.filter(|known| self.hub.head().is_none_or(|head| head <= *known)) {
            *recorded = Some((epoch, known));
            return Ok(());
        }
        if !leads {
            if clock::now().since(*looked) < COPY_CHECK_INTERVAL {
                return Ok(());
            }
            *looked = clock::now();
        }
        let mut seq = match known {
            Some(known) => known,
            None => self.store.last_event(&epoch).await?,
        };
        loop {
            let Ok(page) = self.redis.events(seq, PAGE).await else { return Ok(()) };
            let late = page.first().is_some_and(|event| self.hub.server_time().since(event.at) > LATE_AFTER);
            let Some(last) = page.last().map(|event| event.seq).filter(|_| leads || late) else { break };
            self.store.record_events(&epoch, &page).await?;
            seq = last;
            if page.len() < PAGE {
                break;
            }
        }
        *recorded = Some((epoch, seq));
        Ok(())
    }
}
