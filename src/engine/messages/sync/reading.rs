//! Moves entries from the reader to the inbox, and lets calls wait for that.
//!
//! 1. Entries that cannot be read, or that do not belong to the data set, are skipped; reading continues after them.
//!
//! Not here: the reading itself (`crate::engine::stream_reader`).

use super::Sync;
use crate::cluster::event::LocalFact;
use crate::cluster::ids::MessageSeq;
use crate::cluster::messages::inbox::Inbox;
use crate::cluster::messages::message::Received;
use crate::cluster::protocol::{Entry, Fault};
use crate::engine::stream_reader;
use crate::store::redis::{Page, Place, RedisStore};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How long a call waits for the reader to catch up with the stream.
const CATCH_UP_TIMEOUT: Duration = Duration::from_secs(2);

/// The result of reading entries.
pub(crate) struct Taken {
    /// The position of the last entry that belongs to the data set.
    pub(crate) end: Option<Place>,
    /// Whether there were entries after it that do not belong to the data set.
    pub(crate) foreign: bool,
}

/// Whether entries do not directly follow what was read.
fn is_odd(inbox: &Inbox, page: &Page<Entry>) -> bool {
    let mut read = inbox.read().0;
    page.entries.iter().any(|(_, entry)| {
        let follows = entry.as_ref().is_some_and(|entry| entry.last.0.saturating_sub(entry.count) <= read);
        read = entry.as_ref().map_or(read, |entry| entry.last.0);
        !follows
    })
}

impl Sync {
    /// Takes entries of the stream. Before a hole, or if an entry cannot be read, the data set is read again: it may be a
    /// new one, and entries that do not belong to it are not taken.
    pub(crate) async fn take_entries(
        &self,
        store: &RedisStore,
        asked: MessageSeq,
        mut page: Page<Entry>,
    ) -> Result<Taken, Fault> {
        let data = if self.inbox().as_ref().is_some_and(|inbox| is_odd(inbox, &page)) {
            Some(stream_reader::data_set(store).await?)
        } else {
            None
        };
        let foreign = data.as_ref().is_some_and(|data| page.cut(data.numbers.message));
        let taken = Taken { end: page.entries.last().map(|(place, _)| *place), foreign };
        let (mut fresh, mut told) = (0, Vec::new());
        // An inbox that started over in the meantime, further back, has not asked for these.
        if let Some(inbox) = self.inbox().as_mut().filter(|inbox| inbox.read() >= asked) {
            if let Some(data) = &data {
                inbox.begin_epoch(data);
            }
            for (place, entry) in page.entries {
                match entry {
                    Some(entry) => fresh += inbox.take(&entry),
                    None if place.sub == 0 => inbox.mark_lost(MessageSeq(place.seq)),
                    None => {}
                }
            }
            if self.hub.wants_messages() {
                told.extend(inbox.newest(fresh).map(Received::alone));
            }
        }
        self.read.notify_one();
        self.metrics.messages_received.inc_by(fresh as u64);
        self.arrived.notify_waiters();
        for received in told.into_iter().rev() {
            self.hub.publish_local(LocalFact::Message(received));
        }
        Ok(taken)
    }

    /// Waits until the current content of the stream has been read. False: not all of it, since `limit` messages or a full inbox wait.
    pub(super) async fn catch_up(&self, limit: usize) -> bool {
        if !self.is_linked() {
            return true;
        }
        if self.wants().is_none() || self.has(limit) {
            return false;
        }
        let head = match self.store.newest_message().await {
            Ok(newest) => newest.0,
            Err(why) => {
                tracing::debug!(error = %why, "cannot find out the newest message");
                return true;
            }
        };
        if self.never_came.load(Ordering::Relaxed) >= head {
            return true;
        }
        let reading = async {
            loop {
                let arrived = self.arrived.notified();
                tokio::pin!(arrived);
                arrived.as_mut().enable();
                match self.wants() {
                    Some(read) if read.0 >= head => return true,
                    Some(_) if !self.has(limit) => arrived.await,
                    _ => return false,
                }
            }
        };
        let before = self.wants();
        let Ok(read) = tokio::time::timeout(CATCH_UP_TIMEOUT, reading).await else {
            if self.wants() == before {
                // Lost with the stream: the next message shows that as a gap. No later call waits for it.
                self.never_came.fetch_max(head, Ordering::Relaxed);
            }
            return true;
        };
        read
    }

    fn has(&self, limit: usize) -> bool {
        self.inbox().as_ref().is_none_or(|inbox| inbox.waiting() >= limit)
    }

    /// Waits until an inbox began at another position.
    pub(crate) async fn moved(&self) {
        self.moved.notified().await;
    }
}
