//! Follows the streams, each on a connection of its own: events for the node and its subscribers, messages for the inbox.
//!
//! 1. Events are delivered in the order of the stream, each once.
//! 2. Messages are read only while the inbox has room; events do not wait for messages.
//! 3. Entries that cannot be read are skipped. Entries after the end of the data set are foreign: the next heartbeat removes
//!    them.
//!
//! Not here: missing events (`events.rs` reports them as a gap).

use crate::clock::Seldom;
use crate::cluster::event::ClusterEvent;
use crate::cluster::ids::{EventSeq, MessageSeq};
use crate::cluster::messages::batch_limit::BatchLimit;
use crate::cluster::node::Input;
use crate::cluster::protocol::{DataSet, Fault, View};
use crate::engine::events::Hub;
use crate::engine::messages::sync::Sync;
use crate::engine::node::status::Msg;
use crate::store::redis::{Page, Place, RedisStore};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// How long one read waits for new entries.
const READ_BLOCK: Duration = Duration::from_secs(5);
/// How often a full inbox is checked when nobody says that it has room.
const FULL_INBOX_POLL: Duration = Duration::from_millis(200);
/// The maximum number of events of one read.
const EVENTS: usize = 64;
/// The pauses between attempts to connect: the first and the longest one.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(500));
/// The pause after reading entries that do not belong to the data set.
const FOREIGN_ENTRIES_DELAY: Duration = Duration::from_millis(250);

/// How many failures in a row are worth a warning: one may be a restart of Redis.
const WORTH_A_WARNING: u32 = 2;

static READ_FAILED: Seldom = Seldom::new(1);
static READ_AGAIN: Seldom = Seldom::new(1);

/// Warns, seldom, that answers with messages do not arrive although Redis answers other calls.
fn warn_of_failure(batch_limit: &BatchLimit, why: &Fault) {
    if batch_limit.failures() >= WORTH_A_WARNING
        && let Some(unsaid) = READ_FAILED.due()
    {
        let (entries, seconds) = (batch_limit.count(), batch_limit.deadline().as_secs());
        tracing::warn!(
            entries,
            unsaid,
            "reading messages failed ({why}) several times in a row, although Redis answers other calls; reading {entries} at a time, for up to \
             {seconds} s: Redis cuts connections beyond client-output-buffer-limit normal, or the link is slow; raise that limit on the server"
        );
    }
}

/// What both readers need.
pub(super) struct Reader {
    pub(super) store: Arc<RedisStore>,
    pub(super) sync: Arc<Sync>,
    pub(super) node: mpsc::Sender<Msg>,
}

/// The current data set.
pub(super) async fn data_set(store: &RedisStore) -> Result<DataSet, Fault> {
    let view = View { epoch: String::new(), version: 0, floor: 0, rows: 0, beats: 0 };
    Ok(store.ask(&view).await?.reply.data)
}

impl Reader {
    /// Reads events until the node is gone.
    pub(super) async fn events(self, hub: Arc<Hub>) {
        let mut position = None;
        let mut pause = BACKOFF.0;
        while let Err(why) = self.follow_events(&hub, &mut position).await {
            tracing::debug!(error = %why, "reading events was interrupted; retrying");
            self.rest(&mut pause).await;
        }
    }

    /// Reads messages while the node is a member, until it is gone.
    pub(super) async fn messages(self) {
        let mut pause = BACKOFF.0;
        let mut batch_limit = BatchLimit::default();
        loop {
            self.sync.member().await;
            if let Err(why) = self.follow_messages(&mut batch_limit).await {
                tracing::debug!(error = %why, "reading messages was interrupted; retrying");
                self.rest(&mut pause).await;
            }
        }
    }

    async fn rest(&self, pause: &mut Duration) {
        tokio::time::sleep(*pause).await;
        *pause = if self.sync.is_linked() { BACKOFF.0 } else { (*pause * 2).min(BACKOFF.1) };
    }

    async fn follow_events(&self, hub: &Hub, position: &mut Option<Place>) -> Result<(), Fault> {
        let mut follower = self.store.follow().await?;
        let mut at = match *position {
            Some(at) => at,
            None => Place::of(data_set(&self.store).await?.numbers.event),
        };
        *position = Some(at);
        hub.begin(EventSeq(at.seq));
        loop {
            let mut page = follower.events(at, EVENTS, READ_BLOCK).await?;
            let foreign = is_odd(&page, at.seq) && page.cut(data_set(&self.store).await?.numbers.event);
            for (place, event) in page.entries {
                at = place;
                *position = Some(place);
                if let Some(event) = event
                    && self.node.send(Msg::News(event)).await.is_err()
                {
                    return Ok(());
                }
            }
            if foreign {
                self.call_for_a_beat().await;
            }
        }
    }

    async fn follow_messages(&self, batch_limit: &mut BatchLimit) -> Result<(), Fault> {
        let mut follower = self.store.follow().await?;
        // The position read and the entry reached: entries that the inbox could not take are not read again.
        let mut passed: Option<(MessageSeq, Place)> = None;
        while self.sync.is_member() {
            let Some(asked) = self.sync.wants() else {
                self.sync.room(FULL_INBOX_POLL).await;
                continue;
            };
            let from = match passed {
                Some((before, place)) if before <= asked && place.seq >= asked.0 => place,
                _ => Place::of(asked.0),
            };
            let remains = self.sync.seeks_remains(asked);
            let wait = if remains { Duration::ZERO } else { READ_BLOCK };
            let page = tokio::select! {
                page = follower.messages(from, batch_limit.page(), wait, batch_limit.deadline()) => page,
                // The connection still waits at the old position.
                () = self.sync.moved() => return Ok(()),
            };
            let page = match page {
                Ok(page) => page,
                Err(why) => {
                    // While Redis does not answer at all, the size of the answer is not the reason.
                    if self.sync.is_linked() && matches!(why, Fault::Unavailable(_)) {
                        batch_limit.failed();
                        warn_of_failure(batch_limit, &why);
                    }
                    return Err(why);
                }
            };
            if page.entries.is_empty() {
                if remains {
                    self.sync.found_nothing_after(asked);
                }
                continue;
            }
            let bytes = page.entries.iter().filter_map(|(_, entry)| entry.as_ref()).map(|entry| entry.body.len()).sum();
            if batch_limit.read(page.entries.len(), bytes) >= WORTH_A_WARNING
                && let Some(unsaid) = READ_AGAIN.due()
            {
                let entries = batch_limit.count();
                tracing::info!(entries, unsaid, "messages arrive again, {entries} at a time");
            }
            let taken = self.sync.take_entries(&self.store, asked, page).await?;
            passed = Some((asked, taken.end.unwrap_or(from)));
            if taken.foreign {
                self.call_for_a_beat().await;
            }
            self.sync.demanded().await;
        }
        Ok(())
    }

    /// Asks for a heartbeat, which removes entries that another process appended to the stream.
    async fn call_for_a_beat(&self) {
        // The node is gone only when this task is ended, too.
        let _ = self.node.send(Msg::Input(Input::CalledToRegister)).await;
        tokio::time::sleep(FOREIGN_ENTRIES_DELAY).await;
    }
}

/// Whether events do not directly follow what was read: then the data set shows which of them belong to it.
fn is_odd(page: &Page<ClusterEvent>, read: u64) -> bool {
    let mut next = read + 1;
    page.entries.iter().any(|(place, event)| {
        let follows = place.seq == next && event.is_some();
        next += 1;
        !follows
    })
}
