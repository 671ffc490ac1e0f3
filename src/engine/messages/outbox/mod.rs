//! What a node keeps on disk: unsent messages, remembered message ids, and its last known state.
//!
//! 1. A message that [`NodeStore::accept`] returned as new is on disk: neither kill -9 nor a power cut loses it.
//! 2. A call is accepted as a whole or not at all, even if the disk is full or fails.
//! 3. Producer sequences rise from 1 and are never used twice. They follow each other, but for holes where a process began or a write
//!    failed.
//! 4. The producer id is on disk before anything is sent under it, and survives restarts and renames. It changes only if a
//!    copy of the store has used it.
//! 5. One thread writes; calls that wait at the same time share one transaction and one fsync.
//! 6. What has no id of a client's may be sent while it is being written (`ahead.rs`); its call is answered after both.
//!
//! All calls but [`NodeStore::begin_to_accept`] block. Not here: sending (`super::sync`), the path of the file
//! (`crate::engine::state_dir`).

mod accepting;
mod adopted;
mod ahead;
mod claim;
mod confirmed;
mod database;
mod job;
mod line;
mod memory;
mod prepared;
mod ready;
mod rows;
mod saved_state;
mod tables;
#[cfg(test)]
mod tests;
mod transaction;
mod writer;

pub use adopted::AdoptedBatch;
pub use confirmed::Confirmed;
pub use job::Woken;
pub use memory::{Saved, SavedChange, Unsent};
pub use prepared::{Preparation, Prepared};

use crate::cluster::ids::MessageSeq;
use crate::cluster::messages::message::{Producer, Run};
use crate::cluster::protocol::Packed;
use crate::engine::state_dir::lock::NodeLock;
use crate::engine::state_dir::{self, StateError};
use database::Disk;
use job::{Answer, Job};
use line::Line;
use memory::Memory;
use ready::Ready;
use rows::Batch;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread::JoinHandle;

/// The maximum number of calls in the writer's queue; further calls wait for room.
const WAITING_CALLS: usize = 64;

/// What happened to one message of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    /// The message is on disk and will be sent.
    New {
        /// Its sequence in this outbox.
        producer_seq: u64,
    },
    /// A message with this id was accepted within the last 24 h and the last 100,000 ids.
    Duplicate {
        /// The sequence of the first message.
        producer_seq: u64,
        /// The position of the first message in the stream, if known.
        entry: Option<MessageSeq>,
    },
}

/// Why a call was refused. Nothing of it is kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AcceptError {
    /// The maximum number of unsent bytes would be exceeded.
    #[error("the outbox is full ({waiting} of {bound} bytes wait, {asked} more were given)")]
    Full {
        /// The bytes that wait to be sent.
        waiting: u64,
        /// The bytes of the new messages of the call.
        asked: u64,
        /// The maximum.
        bound: u64,
    },
    /// The disk failed, or the file is damaged.
    #[error(transparent)]
    State(#[from] StateError),
}

/// What the writer and the readers share.
#[derive(Debug)]
struct Shared {
    disk: Disk,
    memory: RwLock<Memory>,
    ready: Mutex<Ready>,
    /// To be locked before memory, and before what is ready.
    line: Mutex<Line>,
    producer: RwLock<Producer>,
    outbox_bytes: u64,
    /// After the file, so that the id is free only after the file is closed.
    lock: Mutex<NodeLock>,
    /// Set after a failure: the file must be reopened before the next use.
    suspect: AtomicBool,
}

impl Shared {
    fn memory(&self) -> RwLockReadGuard<'_, Memory> {
        self.memory.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Only for the writer's thread, and only for a moment: readers of memory must not wait for the disk.
    fn memory_mut(&self) -> RwLockWriteGuard<'_, Memory> {
        self.memory.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn ready(&self) -> MutexGuard<'_, Ready> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, NodeLock> {
        self.lock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a removed file to its path again, with its full content, unless another process now has the id.
    fn put_back(&self) -> Result<(), StateError> {
        let path = self.disk.path();
        if let Some(folder) = path.parent() {
            state_dir::make_folder(folder)?;
        }
        self.lock().retake()?;
        self.disk.put_back()
    }
}

/// The store of one node id, held by this process alone. Dropping it writes what is pending and frees the id.
#[derive(Debug)]
pub struct NodeStore {
    shared: Arc<Shared>,
    jobs: Option<SyncSender<Job>>,
    writer: Option<JoinHandle<()>>,
}

impl NodeStore {
    pub(crate) fn open(path: &Path, lock: NodeLock, outbox_bytes: u64) -> Result<Self, StateError> {
        Self::open_on(Disk::new(path), lock, outbox_bytes)
    }

    fn open_on(disk: Disk, lock: NodeLock, outbox_bytes: u64) -> Result<Self, StateError> {
        let loaded = disk.open_or_begin()?;
        Self::start(disk, lock, outbox_bytes, loaded)
    }

    fn start(
        disk: Disk,
        lock: NodeLock,
        outbox_bytes: u64,
        (producer, memory): (Producer, Memory),
    ) -> Result<Self, StateError> {
        let suspect = AtomicBool::new(false);
        let (memory, producer, lock) = (RwLock::new(memory), RwLock::new(producer), Mutex::new(lock));
        let shared = Arc::new(Shared {
            disk,
            memory,
            ready: Mutex::default(),
            line: Mutex::default(),
            producer,
            outbox_bytes,
            lock,
            suspect,
        });
        let (jobs, waiting) = sync_channel(WAITING_CALLS);
        let for_writer = Arc::clone(&shared);
        let writer = std::thread::Builder::new()
            .name("outbox-writer".to_owned())
            .stack_size(512 << 10)
            .spawn(move || writer::run(&for_writer, &waiting))
            .map_err(|error| StateError::io(&shared.disk.path(), &error))?;
        Ok(Self { shared, jobs: Some(jobs), writer: Some(writer) })
    }

    /// The identity of this outbox.
    #[must_use]
    pub fn producer(&self) -> Producer {
        self.shared.producer()
    }

    /// All producers whose messages are this node's own.
    #[must_use]
    pub fn producers(&self) -> Vec<Producer> {
        std::iter::once(self.producer()).chain(self.saved().producers).collect()
    }

    /// Unsent messages with a producer sequence above `after`, in order, if that takes no access to the disk; `None`: it does.
    #[must_use]
    pub fn ready_entries(&self, after: u64, max_entries: usize, max_bytes: usize) -> Option<Vec<Packed>> {
        let mut batch = Batch::new(max_entries, max_bytes);
        self.shared.ready().take(after, &mut batch);
        if !batch.is_empty() {
            return Some(batch.finish());
        }
        // Locked before memory is read: the writer either finds this, or has the messages on disk.
        let mut line = self.shared.line();
        let unsent = self.unsent();
        if unsent.messages > 0 && after < unsent.last_accepted_seq {
            return None;
        }
        if after < line.last {
            // What was taken before, and not sent, is in the queue only: to be woken for once it is on disk.
            line.unready = line.last;
        }
        Some(Vec::new())
    }

    /// Unsent messages with a producer sequence above `after`, in order: at most `max_entries` and `max_bytes`, but at least one
    /// if there is any.
    ///
    /// # Errors
    /// [`StateError`] when the disk fails, also on a second try.
    pub fn next_entries(&self, after: u64, max_entries: usize, max_bytes: usize) -> Result<Vec<Packed>, StateError> {
        if let Some(entries) = self.ready_entries(after, max_entries, max_bytes) {
            return Ok(entries);
        }
        let read = || {
            let batch = Batch::new(max_entries, max_bytes);
            self.shared.disk.read(|database| rows::read_batch(database, after, batch))
        };
        read().or_else(|error| {
            // The file may only be unusable because of an earlier failure: let the writer reopen it.
            tracing::debug!(%error, "cannot read the outbox; reopening it");
            self.shared.suspect.store(true, Ordering::Release);
            self.flush()?;
            read()
        })
    }

    /// Removes messages that are in the stream, and remembers their positions for later duplicates, if the store still has this
    /// producer. The removal survives kill -9 after about one second; a message whose removal was lost is sent again, and dropped
    /// because of its sequence.
    ///
    /// # Errors
    /// [`StateError`] when the disk fails; then the messages stay unsent.
    pub fn sent(&self, producer: &Producer, runs: Vec<Run>) -> Result<(), StateError> {
        if runs.is_empty() || *producer != self.producer() {
            return Ok(());
        }
        self.ask(|reply| Job::Sent { runs, reply })
    }

    /// The amount of unsent messages. Cheap.
    #[must_use]
    pub fn unsent(&self) -> Unsent {
        self.shared.memory().unsent
    }

    /// The last saved state.
    #[must_use]
    pub fn saved(&self) -> Saved {
        self.shared.memory().saved()
    }

    /// Saves the state of the node. A change that is not `durable` survives kill -9 after about one second.
    ///
    /// # Errors
    /// [`StateError`] when the disk fails; then the change is not made.
    pub fn save(&self, change: &SavedChange) -> Result<(), StateError> {
        let change = Box::new(change.clone());
        self.ask(|reply| Job::Save { change, reply: Answer::new(move |outcome| drop(reply.send(outcome))) })
    }

    /// Begins what [`Self::save`] does, without waiting; `answer` gets the outcome on the writer's thread.
    ///
    /// # Errors
    /// The change, when many calls wait.
    pub fn begin_to_save(
        &self,
        change: Box<SavedChange>,
        answer: impl FnOnce(Result<(), StateError>) + Send + 'static,
    ) -> Result<(), Box<SavedChange>> {
        let Some(jobs) = &self.jobs else { return Err(change) };
        match jobs.try_send(Job::Save { change, reply: Answer::new(answer) }) {
            Err(
                TrySendError::Full(Job::Save { change, .. }) | TrySendError::Disconnected(Job::Save { change, .. }),
            ) => Err(change),
            _ => Ok(()),
        }
    }

    /// Makes all changes durable.
    ///
    /// # Errors
    /// [`StateError`] when the disk fails.
    pub fn flush(&self) -> Result<(), StateError> {
        self.ask(|reply| Job::Flush { reply })
    }

    fn give(&self, job: Job) -> Result<(), StateError> {
        let jobs = self.jobs.as_ref().ok_or(StateError::Closed)?;
        jobs.send(job).map_err(|_| StateError::Closed)
    }

    fn ask(&self, job: impl FnOnce(SyncSender<Result<(), StateError>>) -> Job) -> Result<(), StateError> {
        let (reply, answer) = sync_channel(1);
        self.give(job(reply))?;
        answer.recv().map_err(|_| StateError::Closed)?
    }
}

impl Drop for NodeStore {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("the outbox writer panicked");
        }
    }
}
