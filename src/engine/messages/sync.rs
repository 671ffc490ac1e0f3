//! Messages in and out: what a client's call sends, receives and acknowledges.
//!
//! 1. (S1) A message is on disk before the call that sends it returns.
//! 2. (S2) An acknowledgement is on disk before the call that makes it returns.
//! 3. Receiving calls are served one at a time; while the answer of one is being written, the next one waits.
//!
//! Not here: sending (`publisher.rs`), reading the stream (`stream_reader.rs`), choosing messages
//! (`crate::cluster::messages::inbox`).

mod reading;
mod receiving;

use super::outbox::SavedChange;
use super::progress::Progress;
use crate::cluster::ids::{MessageSeq, NodeId, Nonce};
use crate::cluster::messages::inbox::{Inbox, Kept};
use crate::cluster::messages::message::Producer;
use crate::cluster::node::{Admission, Input};
use crate::cluster::protocol::{Acknowledge, DataSet, Instance};
use crate::engine::error::Error;
use crate::engine::events::Hub;
use crate::engine::messages::store_holder::StoreHolder;
use crate::engine::metrics::Metrics;
use crate::engine::node::status::{Msg, Status};
use crate::engine::state_dir::StateError;
use crate::store::redis::RedisStore;
use receiving::Demand;
pub(crate) use receiving::{Busy, Offered};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, OwnedMutexGuard, mpsc, oneshot, watch};

/// The pause after an acknowledgement was sent to Redis, so that those of many single messages are one call.
const ACKNOWLEDGE_PAUSE: Duration = Duration::from_millis(10);
/// How long the cursor waits before it moves past messages for other nodes, so that many of them are one write.
const CURSOR_WRITE_DELAY: Duration = Duration::from_millis(500);

/// See the head of this file.
pub(crate) struct Sync {
    inbox: Mutex<Option<Inbox>>,
    owner: Mutex<Option<NodeId>>,
    arrived: Notify,
    receiving: Arc<tokio::sync::Mutex<()>>,
    delivering: Arc<tokio::sync::Mutex<()>>,
    pub(crate) store_holder: Arc<StoreHolder>,
    hub: Arc<Hub>,
    store: Arc<RedisStore>,
    node: mpsc::WeakSender<Msg>,
    pub(crate) status: watch::Receiver<Status>,
    acknowledged: watch::Sender<Option<(MessageSeq, String)>>,
    vacated: Notify,
    progress: Arc<Progress>,
    metrics: Arc<Metrics>,
    /// Held from reading the cursor until it is on disk, so that an older cursor never overwrites a newer one.
    saving: tokio::sync::Mutex<()>,
    /// Whether the newest cursor is not on disk yet.
    behind: AtomicBool,
    began: Notify,
    demand: Demand,
    /// Notified when entries were read.
    read: Notify,
    /// The acknowledgement made while there was no inbox: before the join, or just after a leave.
    pub(crate) early: Mutex<Option<(MessageSeq, String)>>,
    /// See [`Self::meets`].
    pub(crate) met: Mutex<(Vec<Producer>, Option<MessageSeq>)>,
    moved: Notify,
    /// Notified when the inbox may have room again.
    room: Notify,
    /// The newest message that was waited for in vain.
    never_came: AtomicU64,
}

impl Sync {
    pub(crate) fn new(
        store_holder: Arc<StoreHolder>,
        hub: Arc<Hub>,
        store: Arc<RedisStore>,
        node: mpsc::WeakSender<Msg>,
        status: watch::Receiver<Status>,
        progress: Arc<Progress>,
        metrics: Arc<Metrics>,
    ) -> Arc<Self> {
        Arc::new(Self {
            inbox: Mutex::new(None),
            owner: Mutex::new(None),
            arrived: Notify::new(),
            receiving: Arc::default(),
            delivering: Arc::default(),
            store_holder,
            hub,
            store,
            node,
            status,
            acknowledged: watch::Sender::new(None),
            vacated: Notify::new(),
            progress,
            metrics,
            saving: tokio::sync::Mutex::default(),
            behind: AtomicBool::new(false),
            began: Notify::new(),
            demand: Demand::default(),
            read: Notify::new(),
            early: Mutex::default(),
            met: Mutex::default(),
            moved: Notify::new(),
            room: Notify::new(),
            never_came: AtomicU64::new(0),
        })
    }

    fn inbox(&self) -> MutexGuard<'_, Option<Inbox>> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_member(&self) -> bool {
        self.status.borrow().instance().is_some()
    }

    /// Whether Redis answers, as far as the node knows.
    pub(crate) fn is_linked(&self) -> bool {
        self.status.borrow().link
    }

    /// Called when the node becomes a member: its inbox begins, continues, or starts over under another id.
    pub(crate) fn admitted(&self, admission: &Admission) {
        let mut owner = self.owner.lock().unwrap_or_else(PoisonError::into_inner);
        let known = owner.replace(admission.instance.node_id.clone());
        drop(owner);
        if self.begin(&mut self.inbox(), known.as_ref(), admission) {
            self.moved.notify_one();
        }
        self.behind.store(true, Ordering::Release);
        self.began.notify_one();
        self.arrived.notify_waiters();
    }

    /// Called when this process holds the store on disk: its state is given to the inbox, and its sequences are new.
    pub(crate) fn store_filled(&self) {
        self.progress.reset();
        if let (Some(inbox), Some(kept)) = (self.inbox().as_mut(), self.kept())
            && inbox.adopt(kept)
        {
            self.moved.notify_one();
        }
        self.began.notify_one();
        self.arrived.notify_waiters();
    }

    /// The state in the store on disk; `None` while another process holds it.
    pub(crate) fn kept(&self) -> Option<Kept> {
        self.store_holder.peek(|store| {
            let saved = store.saved();
            let cursor = saved.cursor.zip(saved.epoch.map(|epoch| epoch.to_string()));
            Kept { own: store.producers(), marks: saved.marks, cursor, place: saved.place }
        })
    }

    /// Called before a rename takes an id whose store on this host has these producers and began to receive at this
    /// position.
    pub(crate) fn meets(&self, producers: Vec<Producer>, began: Option<MessageSeq>) {
        *self.met.lock().unwrap_or_else(PoisonError::into_inner) = (producers, began);
    }

    /// Called when the store continues under another producer.
    pub(crate) fn owns(&self, producer: Producer) {
        if let Some(inbox) = self.inbox().as_mut() {
            inbox.owns([producer]);
        }
    }

    /// The highest message position that this node has seen.
    pub(crate) fn highest(&self) -> MessageSeq {
        let read = self.inbox().as_ref().map(Inbox::read).unwrap_or_default();
        read.max(self.progress.newest())
    }

    /// Waits until the node is a member.
    pub(crate) async fn member(&self) {
        let mut status = self.status.clone();
        // The node is gone, and with it the caller.
        if status.wait_for(|status| status.instance().is_some()).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Called with the current data set, which may be another one.
    pub(crate) fn data_set(&self, data: &DataSet) {
        if self.inbox().as_mut().is_some_and(|inbox| inbox.begin_epoch(data)) {
            self.moved.notify_one();
        }
        self.arrived.notify_waiters();
    }

    /// Called when the node stops being a member; `replaced`: another process has its id.
    pub(crate) fn departed(&self, replaced: bool) {
        // Another process may receive under this id now; it would read unacknowledged messages again.
        *self.inbox() = None;
        *self.owner.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.arrived.notify_waiters();
        if replaced {
            self.vacated.notify_one();
        }
    }

    /// Waits until another process takes over the id, then closes the store on disk for it.
    pub(crate) async fn vacate_when_replaced(&self) {
        loop {
            self.vacated.notified().await;
            self.store_holder.empty().await;
            self.progress.reset();
        }
    }

    /// The position from which to read; `None` while nothing is to be read.
    pub(crate) fn wants(&self) -> Option<MessageSeq> {
        self.status.borrow().instance()?;
        self.inbox().as_ref().filter(|inbox| !inbox.is_full()).map(Inbox::read)
    }

    /// Whether messages of an earlier data set may still be in the stream after this position.
    pub(crate) fn seeks_remains(&self, asked: MessageSeq) -> bool {
        self.inbox().as_ref().is_some_and(|inbox| inbox.seeks_remains() && inbox.read() == asked)
    }

    /// The stream holds nothing after this position.
    pub(crate) fn found_nothing_after(&self, asked: MessageSeq) {
        if let Some(inbox) = self.inbox().as_mut() {
            inbox.found_nothing_after(asked);
        }
        self.arrived.notify_waiters();
    }

    /// Waits until the inbox has room, as far as this knows, for at most `within`.
    pub(crate) async fn room(&self, within: Duration) {
        // The caller looks again anyway.
        let _ = tokio::time::timeout(within, self.room.notified()).await;
    }

    /// The acknowledged position.
    pub(crate) fn cursor(&self) -> MessageSeq {
        self.inbox().as_ref().map(Inbox::acknowledged).unwrap_or_default()
    }

    /// The number of unacknowledged messages, up to the newest one that the node or this inbox knows.
    pub(crate) fn lag(&self, known: MessageSeq) -> u64 {
        let newest = self.progress.newest().max(known);
        self.inbox().as_ref().map_or(0, |inbox| inbox.lag(newest.max(inbox.read())))
    }

    /// Acknowledges: first on disk, then, asynchronously, in Redis. `turn` is given back before the disk has it: a call that receives
    /// next is offered what follows.
    pub(crate) async fn acknowledge(&self, cursor: MessageSeq, turn: Option<OwnedMutexGuard<()>>) -> Result<(), Error> {
        let saving = self.saving.lock().await;
        let judged = match self.inbox().as_mut() {
            Some(inbox) => {
                match inbox.acknowledge(cursor) {
                    Ok(true) => {
                        self.behind.store(true, Ordering::Release);
                        self.room.notify_one();
                    }
                    Ok(false) if self.behind.load(Ordering::Acquire) => {}
                    Ok(false) => return Ok(()),
                    Err(beyond) => return Err(Error::InvalidParams(beyond.to_string())),
                }
                Ok(inbox.epoch().to_owned())
            }
            // Checked while the inbox is locked, so that an inbox of the next join knows it.
            None => Err(self.take_early(cursor)?),
        };
        drop(turn);
        let epoch = match judged {
            Ok(epoch) => epoch,
            Err(change) => return self.keep_early(change).await,
        };
        self.save_cursor(true).await?;
        drop(saving);
        self.report_acknowledged(cursor, epoch).await;
        Ok(())
    }

    /// Passes an acknowledgement to the node, and asynchronously to Redis.
    pub(crate) async fn report_acknowledged(&self, cursor: MessageSeq, epoch: String) {
        self.acknowledged.send_replace(Some((cursor, epoch.clone())));
        if let Some(node) = self.node.upgrade() {
            // The node is gone only when the process ends.
            let _ = node.send(Msg::Input(Input::Acknowledged(cursor, epoch))).await;
        }
    }

    /// Moves the cursor past messages for other nodes, on disk and in Redis, from time to time.
    pub(crate) async fn pass_over(&self) {
        loop {
            self.read.notified().await;
            tokio::time::sleep(CURSOR_WRITE_DELAY).await;
            let saving = self.saving.lock().await;
            let passed = self
                .inbox()
                .as_mut()
                .and_then(|inbox| inbox.pass_over().then(|| (inbox.acknowledged(), inbox.epoch().to_owned())));
            let Some(passed) = passed else { continue };
            if let Err(why) = self.save_cursor(false).await {
                tracing::debug!(error = %why, "cannot save the cursor on disk yet");
            }
            drop(saving);
            self.report_acknowledged(passed.0, passed.1).await;
        }
    }

    /// Saves the cursor and the marks on disk; the caller holds `saving`.
    async fn save_cursor(&self, durable: bool) -> Result<(), Error> {
        let change = match self.inbox().as_mut() {
            Some(inbox) => Box::new(SavedChange {
                cursor: Some(inbox.acknowledged()),
                place: inbox.place(),
                epoch: Nonce::new(inbox.epoch()).ok(),
                marks: inbox.take_marks(),
                durable,
                ..SavedChange::default()
            }),
            None => return Ok(()),
        };
        let marks = change.marks.clone();
        let (answer, outcome) = oneshot::channel();
        // A caller that is gone does not need it.
        let answer = move |outcome| drop(answer.send(outcome));
        let saved = match self.store_holder.peek(|store| store.begin_to_save(change, answer)) {
            Some(Ok(())) => Some(outcome.await.unwrap_or(Err(StateError::Closed))),
            Some(Err(change)) => self.store_holder.with(move |store| store.save(&change)).await,
            None => None,
        };
        match saved {
            Some(Ok(())) => {
                self.behind.store(false, Ordering::Release);
                Ok(())
            }
            None => Ok(()),
            Some(Err(error)) => {
                if let Some(inbox) = self.inbox().as_mut() {
                    inbox.return_marks(marks);
                }
                Err(Error::Internal(format!("cannot save the acknowledgement: {error}")))
            }
        }
    }

    /// Saves where a new inbox begins, so that a loss of data is a gap for the next process, too.
    pub(crate) async fn keep_beginnings(&self) {
        loop {
            self.began.notified().await;
            let _saving = self.saving.lock().await;
            if let Err(why) = self.save_cursor(false).await {
                tracing::warn!(error = %why, "cannot save on disk where receiving begins; after a loss of data the next process may not report a gap");
            }
        }
    }

    /// Sends the newest acknowledgement to Redis, until the node is gone.
    pub(crate) async fn send_acknowledgements(&self) {
        let mut changes = self.acknowledged.subscribe();
        while changes.changed().await.is_ok() {
            let Some((seq, epoch)) = changes.borrow_and_update().clone() else { continue };
            let instance: Option<Instance> = self.status.borrow().instance().cloned();
            let Some(instance) = instance else { continue };
            if let Err(why) = self.store.ask(&Acknowledge { instance, epoch, seq }).await {
                // The next heartbeat carries it.
                tracing::debug!(error = %why, "cannot send an acknowledgement to Redis; the next heartbeat carries it");
            }
            tokio::time::sleep(ACKNOWLEDGE_PAUSE).await;
        }
    }
}
