//! Sends the messages of the outbox in order, with one write under way at a time.
//!
//! 1. (S1) A message leaves the outbox only when the store has confirmed it, or its producer's mark covers it.
//! 2. Before the first write the producer's mark is checked, to detect another copy of the store (`outbox`).
//! 3. Messages that arrive during a write are sent together with the next one; without a write under way, none waits.
//!
//! Not here: accepting messages (`sync.rs`), the outbox on disk (`outbox`).

use super::outbox::{AdoptedBatch, NodeStore, SavedChange};
use super::progress::Progress;
use super::removals::Removals;
use super::sync::Sync;
use crate::cluster::event::{Direction, LocalFact};
use crate::cluster::ids::{MessageSeq, NodeId};
use crate::cluster::messages::batch_limit::BatchLimit;
use crate::cluster::messages::message::{Producer, Run};
use crate::cluster::messages::packing::MAX_ENTRY_BYTES;
use crate::cluster::node::Input;
use crate::cluster::protocol::{Fault, Identity, Numbers, Packed, Publish, PublishReply};
use crate::engine::events::Hub;
use crate::engine::messages::resumed::Resumed;
use crate::engine::messages::store_holder::StoreHolder;
use crate::engine::metrics::Metrics;
use crate::engine::node::status::{Msg, Status};
use crate::engine::state_dir::StateError;
use crate::store::redis::RedisStore;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc, watch};
use tracing::{Instrument, debug_span};

/// How often the outbox is checked without a notification.
const OUTBOX_POLL: Duration = Duration::from_secs(5);
/// The pause before a failed write is repeated.
const PUBLISH_RETRY_DELAY: Duration = Duration::from_millis(250);

pub(crate) struct Publisher {
    pub(crate) store: Arc<RedisStore>,
    pub(crate) store_holder: Arc<StoreHolder>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) progress: Arc<Progress>,
    pub(crate) status: watch::Receiver<Status>,
    pub(crate) accepted: Arc<Notify>,
    pub(crate) sync: Arc<Sync>,
    pub(crate) node: mpsc::Sender<Msg>,
    /// The maximum number of entries in the stream, and of bytes.
    pub(crate) keep: (u64, u64),
    /// Whether the stream was full the last time.
    pub(crate) held_up: bool,
    /// The producer whose mark was checked, and the last sequence that this process sent under it.
    pub(crate) confirmed: Option<(Producer, u64)>,
    pub(crate) removals: Removals,
}

/// The messages of one write.
#[derive(Default)]
struct Batch {
    /// The producer of the messages; `None` without a store.
    producer: Option<Producer>,
    /// Whether they were imported from another store.
    adopted: bool,
    entries: Vec<Packed>,
}

impl Batch {
    fn of(adopted: AdoptedBatch) -> Self {
        Self { producer: Some(adopted.producer), adopted: true, entries: adopted.entries }
    }
}

impl Publisher {
    /// Publishes until the node is gone.
    pub(crate) async fn run(mut self) {
        let mut batch_limit = BatchLimit::default();
        loop {
            // Register before the check, so that messages that arrive in between are not missed.
            let accepted = Arc::clone(&self.accepted);
            let woken = accepted.notified();
            let Some(batch) = self.next_batch(batch_limit.count()).await else {
                tokio::time::sleep(PUBLISH_RETRY_DELAY).await;
                continue;
            };
            if self.status.borrow_and_update().instance().is_none() {
                // Not a member: messages are neither sent nor refused.
                if self.status.changed().await.is_err() {
                    return;
                }
                continue;
            }
            let outcome = match self.unasked(&batch) {
                Some(producer) => self.ask_mark(producer).await,
                None if batch.entries.is_empty() => {
                    // Every accepted message wakes this; the timeout is a fallback.
                    let _ = tokio::time::timeout(OUTBOX_POLL, woken).await;
                    continue;
                }
                None => self.publish(batch).await,
            };
            match outcome {
                Ok(()) => {
                    batch_limit.succeeded(batch_limit.count());
                    self.progress.set_down(false);
                }
                Err(why) => {
                    batch_limit.failed();
                    tracing::debug!(error = %why, "cannot publish; messages stay in the outbox");
                    self.progress.set_down(true);
                    if !self.pause().await {
                        return;
                    }
                }
            }
        }
    }

    /// The unsent messages, imported ones first; `None`: the outbox could not be read.
    async fn next_batch(&self, entries: usize) -> Option<Batch> {
        let (after, bytes) = (self.progress.sent(), entries * MAX_ENTRY_BYTES);
        let ready = |store: &NodeStore| {
            let entries = if store.has_adopted() { None } else { store.ready_entries(after, entries, bytes) };
            entries.map(|entries| Batch { producer: Some(store.producer()), adopted: false, entries })
        };
        match self.store_holder.peek(ready) {
            Some(Some(batch)) => return Some(batch),
            None => return Some(Batch::default()),
            // The disk has to be read.
            Some(None) => {}
        }
        let read = move |store: &NodeStore| -> Result<Batch, StateError> {
            if let Some(adopted) = store.next_adopted(entries, bytes)? {
                return Ok(Batch::of(adopted));
            }
            let entries = store.next_entries(after, entries, bytes)?;
            Ok(Batch { producer: Some(store.producer()), adopted: false, entries })
        };
        match self.store_holder.with(read).await {
            Some(Ok(batch)) => Some(batch),
            Some(Err(error)) => {
                tracing::error!(%error, "cannot read the outbox; its messages are not sent until it can be read");
                None
            }
            None => Some(Batch::default()),
        }
    }

    /// Waits until it makes sense to retry: a moment, or until the status of the node changes. False: the node is gone.
    async fn pause(&mut self) -> bool {
        tokio::select! {
            changed = self.status.changed() => changed.is_ok(),
            () = tokio::time::sleep(PUBLISH_RETRY_DELAY) => true,
        }
    }

    /// The producer of the batch, if its mark was not checked yet.
    fn unasked(&self, batch: &Batch) -> Option<Producer> {
        let known = self.confirmed.as_ref().map(|(known, _)| known);
        batch.producer.clone().filter(|producer| !batch.adopted && known != Some(producer))
    }

    /// Asks for the mark of the store's producer.
    async fn ask_mark(&mut self, producer: Producer) -> Result<(), Fault> {
        match self.send(producer.clone(), Vec::new()).await? {
            Some(PublishReply::Marked { producer_seq, seq }) => self.confirm(producer, (producer_seq, seq), 0).await,
            Some(PublishReply::Refused(identity)) => Err(self.refused(identity).await),
            Some(_) => Err(Fault::Refused("unexpected reply to a request for a producer's mark".to_owned())),
            None => Ok(()),
        }
    }

    /// Compares the mark, and the position of its message, with what the store has accepted and this process has sent.
    async fn confirm(&mut self, producer: Producer, (mark, seq): (u64, MessageSeq), sent: u64) -> Result<(), Fault> {
        let of = producer.clone();
        let confirm = move |store: &NodeStore| {
            let confirmed = || saw(store, seq).and_then(|()| store.confirm(mark, sent));
            (store.producer() == of).then(confirmed).transpose()
        };
        let confirmed = match self.store_holder.with(confirm).await {
            Some(Ok(Some(confirmed))) => confirmed,
            Some(Err(error)) => return Err(Fault::Unavailable(format!("cannot write to the outbox: {error}"))),
            // Another store replaced it.
            Some(Ok(None)) | None => return Ok(()),
        };
        let Some(renewed) = confirmed.renewed else {
            self.confirmed = Some((producer, confirmed.border));
            return Ok(());
        };
        tracing::warn!(
            mark,
            known = confirmed.border,
            "Redis holds messages of this node that are not in its state directory: the directory was restored from a backup, or copied; \
             the node continues under a new producer id, so that new messages are not treated as duplicates of those"
        );
        self.confirmed = Some((renewed.clone(), confirmed.border));
        self.sync.owns(renewed);
        if let Some(Resumed { producer, known, cursor, cursor_of, .. }) = self.store_holder.peek(Resumed::of) {
            // The node is gone only when the process ends.
            let _ = self.node.send(Msg::Input(Input::Resumed { producer, known, cursor, cursor_of })).await;
        }
        Ok(())
    }

    /// One write; `None`: the node is not a member any more.
    async fn send(&mut self, producer: Producer, entries: Vec<Packed>) -> Result<Option<PublishReply>, Fault> {
        let status = self.status.borrow_and_update().clone();
        let Some(instance) = status.instance().cloned() else { return Ok(None) };
        let (first, last) = (entries.first().map(|entry| entry.first), entries.last().map(Packed::last));
        let publish =
            Publish { instance, epoch: status.epoch, producer, keep: self.keep.0, max_bytes: self.keep.1, entries };
        let span = debug_span!(parent: None, "packed", first_message = first, last_message = last);
        Ok(Some(self.store.ask(&publish).instrument(span).await?.reply))
    }

    async fn refused(&self, identity: Identity) -> Fault {
        if identity != Identity::Replaced {
            // Data was lost, or this incarnation was declared dead: the next heartbeat repairs that, and its answer changes
            // the status.
            let _ = self.node.send(Msg::Input(Input::CalledToRegister)).await;
        }
        Fault::Unavailable("the node is renewing its membership".to_owned())
    }

    async fn publish(&mut self, batch: Batch) -> Result<(), Fault> {
        let Some(producer) = batch.producer else {
            return Err(Fault::Unavailable("this process does not hold the outbox".to_owned()));
        };
        let spans: Vec<(u64, u64)> = batch.entries.iter().map(|entry| (entry.first, entry.last())).collect();
        let last = spans.last().map_or(0, |(_, last)| *last);
        let own = self.confirmed.as_mut().filter(|_| !batch.adopted);
        let before = own.map(|(_, sent)| std::mem::replace(sent, last.max(*sent)));
        let Some(reply) = self.send(producer.clone(), batch.entries).await? else { return Ok(()) };
        match reply {
            PublishReply::Full { held, bound, slowest } => Err(self.no_room(held, bound, slowest.as_ref())),
            PublishReply::Written { first, .. } => {
                if std::mem::take(&mut self.held_up) {
                    tracing::info!("the message stream has room again; sending messages");
                }
                let (mut runs, mut at) = (Vec::with_capacity(1), first);
                for (first, last) in spans {
                    let run = Run { first, last, at };
                    at = run.end().next();
                    Run::add(&mut runs, run);
                }
                self.written(producer, batch.adopted, runs).await;
                Ok(())
            }
            PublishReply::Marked { producer_seq, seq } if before.is_some_and(|sent| producer_seq > sent) => {
                // This process did not send that: a snapshot of its machine continued elsewhere, or an earlier one here.
                self.confirm(producer, (producer_seq, seq), before.unwrap_or_default()).await
            }
            PublishReply::Marked { producer_seq, seq } => {
                // An earlier write whose answer was lost: its last message is the mark, and it was written together with
                // the messages of this batch that the mark covers.
                let mut runs = Vec::new();
                for (first, last) in spans.into_iter().filter(|(first, _)| *first <= producer_seq) {
                    let at = MessageSeq(seq.0.saturating_sub(producer_seq - first));
                    Run::add(&mut runs, Run { first, last: last.min(producer_seq), at });
                }
                self.written(producer, batch.adopted, runs).await;
                Ok(())
            }
            PublishReply::Refused(identity) => Err(self.refused(identity).await),
        }
    }

    /// Logs once that messages wait in the outbox, and for whom.
    fn no_room(&mut self, held: u64, bound: Option<u64>, slowest: Option<&NodeId>) -> Fault {
        let who = slowest.map_or("a member", NodeId::as_str);
        let why = match bound {
            Some(bound) => format!(
                "the message stream holds {held} bytes (of {bound} allowed) that {who} has not read; receive messages there, or raise sync.max_stream_bytes \
                 and Redis' maxmemory"
            ),
            None => "Redis is full; raise maxmemory, or remove data from it".to_owned(),
        };
        if !std::mem::replace(&mut self.held_up, true) {
            tracing::warn!(held, bound, slowest = who, "messages wait in the outbox: {why}");
        }
        Fault::Unwritable(why)
    }

    async fn written(&mut self, producer: Producer, adopted: bool, runs: Vec<Run>) {
        let (Some(first), Some(last)) = (runs.first().map(|run| run.at), runs.last().map(Run::end)) else { return };
        if !adopted {
            self.progress.set_sent(&runs);
        }
        let count = runs.iter().map(Run::count).sum();
        self.metrics.messages_sent.inc_by(count);
        self.hub.publish_local(LocalFact::SyncComplete { direction: Direction::Sent, count, first, last });
        if !adopted {
            return self.removals.add(producer, runs).await;
        }
        let remove = move |store: &NodeStore| {
            // Before they leave the store, as `sent` does with its own.
            saw(store, last)?;
            runs.iter().try_for_each(|run| store.sent_adopted(&producer, *run))
        };
        if let Some(Err(error)) = self.store_holder.with(remove).await {
            tracing::error!(%error, "cannot remove sent messages from the outbox; they will be recognised as duplicates");
        }
    }
}

/// (S1) Keeps the position of a message before it leaves the store, as [`NodeStore::sent`] does: should Redis lose it, the next process of this
/// node knows a number that Redis does not.
fn saw(store: &NodeStore, seq: MessageSeq) -> Result<(), StateError> {
    let numbers = Some(Numbers { message: seq.0, ..Numbers::default() });
    store.save(&SavedChange { numbers, ..SavedChange::default() })
}
