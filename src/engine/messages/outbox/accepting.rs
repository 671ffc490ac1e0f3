//! Accepting calls: what is checked before they are in the queue, and whether their messages can be sent at once.
//!
//! Not here: the queue's order (`line.rs`), carrying out a call (`writer.rs`).

use super::job::{Accepting, Answer, Job, Woken};
use super::prepared::Prepared;
use super::{AcceptError, Accepted, NodeStore};
use crate::engine::state_dir::StateError;
use std::sync::mpsc::{TrySendError, sync_channel};

/// The disk space that accepted messages leave free, in bytes.
const HEADROOM_BYTES: u64 = 4 << 20;

/// A call for which there was no room in the queue.
struct Unqueued(Prepared, Option<Woken>, Accepting);

impl NodeStore {
    /// Accepts messages, all or none, in one durable transaction. `now_wall_ms` is the wall clock in milliseconds since
    /// 1970; it only decides when an id is old enough to be forgotten.
    ///
    /// # Errors
    /// [`AcceptError`]; then nothing of the call is kept.
    pub fn accept(&self, messages: impl Into<Prepared>, now_wall_ms: u64) -> Result<Vec<Accepted>, AcceptError> {
        self.accepting(messages.into(), now_wall_ms, None)
    }

    /// As [`Self::accept`], and calls `woken` when [`Self::ready_entries`] has the messages, which may be before they are on disk.
    ///
    /// # Errors
    /// [`AcceptError`]; then nothing of the call is kept here, but where the disk failed, messages may have been sent.
    pub fn accept_and_send(
        &self,
        messages: impl Into<Prepared>,
        now_wall_ms: u64,
        woken: Woken,
    ) -> Result<Vec<Accepted>, AcceptError> {
        self.accepting(messages.into(), now_wall_ms, Some(woken))
    }

    fn accepting(
        &self,
        messages: Prepared,
        now_wall_ms: u64,
        woken: Option<Woken>,
    ) -> Result<Vec<Accepted>, AcceptError> {
        if messages.count == 0 {
            return Ok(Vec::new());
        }
        self.check_place()?;
        self.check_headroom(&messages)?;
        let (taken, answer) = sync_channel(1);
        // A caller that is gone does not need it.
        let reply = Answer::new(move |outcome| drop(taken.send(outcome)));
        if let Err(Unqueued(messages, woken, reply)) = self.queue(messages, now_wall_ms, woken, reply) {
            self.shared.line().queued(None, messages.count, messages.bytes());
            self.give(Job::Accept { messages, first: None, now_wall_ms, woken, reply })?;
        }
        answer.recv().map_err(|_| StateError::Closed)?
    }

    /// Begins what [`Self::accept_and_send`] does, without waiting; `answer` gets the outcome on the writer's thread.
    ///
    /// # Errors
    /// The messages, when that is not possible: many calls wait, or the disk has to be looked at.
    pub fn begin_to_accept(
        &self,
        messages: Prepared,
        now_wall_ms: u64,
        woken: Woken,
        answer: impl FnOnce(Result<Vec<Accepted>, AcceptError>) + Send + 'static,
    ) -> Result<(), Prepared> {
        if self.shared.disk.is_removed() || self.check_headroom(&messages).is_err() {
            return Err(messages);
        }
        self.queue(messages, now_wall_ms, Some(woken), Answer::new(answer)).map_err(|unqueued| unqueued.0)
    }

    /// Puts a call into the queue, and lets its messages be sent if they get their sequences there.
    fn queue(
        &self,
        messages: Prepared,
        now_wall_ms: u64,
        woken: Option<Woken>,
        reply: Accepting,
    ) -> Result<(), Unqueued> {
        let Some(jobs) = &self.jobs else { return Err(Unqueued(messages, woken, reply)) };
        let mut line = self.shared.line();
        let first = woken.as_ref().and_then(|_| line.next(&self.shared, &messages));
        let (count, bytes) = (messages.count, messages.bytes());
        let (entries, wake) = first.map(|first| (messages.numbered(first), woken.clone())).unzip();
        match jobs.try_send(Job::Accept { messages, first, now_wall_ms, woken, reply }) {
            Ok(()) => line.queued(first, count, bytes),
            Err(TrySendError::Full(job) | TrySendError::Disconnected(job)) => {
                let Job::Accept { messages, woken, reply, .. } = job else { return Ok(()) };
                return Err(Unqueued(messages, woken, reply));
            }
        }
        // Still in line: the writer, where it fails, comes afterwards and makes them unready.
        if entries.is_some_and(|entries| !self.shared.ready().add(entries)) {
            line.unready = line.last;
        }
        drop(line);
        if let Some(Some(wake)) = wake {
            (wake.0)();
        }
        Ok(())
    }

    /// Refuses messages while the file was removed under the running node: they would be lost with the process.
    fn check_place(&self) -> Result<(), StateError> {
        if !self.shared.disk.is_removed() {
            return Ok(());
        }
        // The writer restores the file before it writes.
        self.flush()?;
        if !self.shared.disk.is_removed() {
            return Ok(());
        }
        Err(StateError::Io {
            path: self.shared.disk.path(),
            detail: "the file was removed while the node runs, and cannot be written again".to_owned(),
            remedy: "see the log, and keep cleaners of temporary folders away from the node's state directory",
            full: true,
        })
    }

    /// Refuses a call that would fill the disk: removing sent messages needs space, too, so a store that had filled its
    /// disk could never shrink again.
    fn check_headroom(&self, messages: &Prepared) -> Result<(), StateError> {
        let path = self.shared.disk.path();
        let Some(Ok(disk)) = path.parent().map(rustix::fs::statvfs) else { return Ok(()) };
        let asked = messages.bytes();
        if disk.f_bavail.saturating_mul(disk.f_frsize) >= HEADROOM_BYTES.saturating_add(asked.saturating_mul(2)) {
            return Ok(());
        }
        Err(StateError::io(&path, &std::io::ErrorKind::StorageFull.into()))
    }
}
