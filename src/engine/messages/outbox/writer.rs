//! The thread that writes: it merges waiting calls into one transaction.
//!
//! 1. A call is answered only after the commit that contains it, also where its messages were sent before (`ahead.rs`).
//! 2. After a failed commit the file is reopened and restored to the answered calls, before anything else is written.
//! 3. A change that was not made durable at once becomes durable within about one second; an idle writer sleeps.
//!
//! Not here: the changes of a call to the tables (`transaction.rs`).

use super::ahead::{self, Ahead};
use super::confirmed;
use super::job::Job;
use super::line::Places;
use super::transaction::{Change, Outcome, save_only};
use super::{AcceptError, Accepted, Shared, WAITING_CALLS};
use crate::clock;
use crate::cluster::messages::message::Run;
use crate::cluster::time::Moment;
use crate::engine::state_dir::StateError;
use redb::{Database, Durability, WriteTransaction};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

/// How long a change may stay not durable.
const FLUSH_AFTER: Duration = Duration::from_secs(1);

/// The pause before writing a removed file to its path is tried again.
const RESTORE_RETRY_DELAY: Duration = Duration::from_secs(1);

/// The maximum bytes of messages whose removal is not durable. The pages that they freed are not reused before, so a small number keeps
/// the file small.
const UNFLUSHED_BYTES: u64 = 4 << 20;
/// The maximum number of runs whose removal is not durable; they are kept in memory until then.
const UNFLUSHED_RUNS: usize = 1000;

/// The bytes of messages after which a transaction accepts no further calls.
const GROUP_BYTES: usize = 8 << 20;

struct Writer<'s> {
    shared: &'s Shared,
    /// Removals that are not durable, which a reopened file may not have.
    unflushed: Vec<Run>,
    /// The bytes of the messages in them.
    unflushed_bytes: u64,
    /// Since when there are changes that are not durable.
    dirty_since: Option<Moment>,
    /// Whether the file was reopened and is behind memory.
    behind: bool,
    ahead: Ahead,
    /// When writing a removed file to its path failed.
    restore_failed_at: Option<Moment>,
}

/// Serves requests until the last sender is gone.
pub(super) fn run(shared: &Shared, jobs: &Receiver<Job>) {
    let mut writer = Writer {
        shared,
        unflushed: Vec::new(),
        unflushed_bytes: 0,
        dirty_since: None,
        behind: false,
        ahead: Ahead::default(),
        restore_failed_at: None,
    };
    loop {
        let first = match writer.dirty_since {
            None => jobs.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(since) => jobs.recv_timeout(FLUSH_AFTER.saturating_sub(clock::now().since(since))),
        };
        match first {
            Ok(first) => writer.serve(collect(first, jobs)),
            Err(RecvTimeoutError::Timeout) => writer.flush_in_background(),
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    if writer.dirty_since.is_some() {
        writer.flush_in_background();
    }
}

/// The requests that wait now, up to a limit.
fn collect(first: Job, jobs: &Receiver<Job>) -> Vec<Job> {
    let mut bytes = first.bytes();
    let mut group = vec![first];
    while group.len() < WAITING_CALLS && bytes < GROUP_BYTES {
        let Ok(job) = jobs.try_recv() else { break };
        bytes += job.bytes();
        group.push(job);
    }
    group
}

fn commit(mut transaction: WriteTransaction, durable: bool) -> Result<(), redb::Error> {
    transaction.set_durability(if durable { Durability::Immediate } else { Durability::None })?;
    Ok(transaction.commit()?)
}

/// The results of the accepts of a group, in order, and the change to memory.
type Done = (Vec<Result<Vec<Accepted>, AcceptError>>, Outcome);

impl Writer<'_> {
    fn flush_in_background(&mut self) {
        if let Err(error) = self.commit(&mut [], true) {
            tracing::warn!(%error, "cannot write the state of this node to disk; retrying");
            // Not at once: the disk needs time to recover.
            self.dirty_since = Some(clock::now());
        }
    }

    fn serve(&mut self, mut group: Vec<Job>) {
        let overdue = self.dirty_since.is_some_and(|since| clock::now().since(since) >= FLUSH_AFTER);
        let (mut accepts, result) = match self.commit(&mut group, overdue) {
            Ok(accepts) => (accepts.into_iter(), Ok(())),
            Err(error) => (Vec::new().into_iter(), Err(error)),
        };
        // A caller may be gone, so a failed send is not an error.
        for job in group {
            match job {
                Job::Accept { reply, woken, first, .. } => {
                    let known = first.is_some_and(|first| first > self.shared.line().unready);
                    let failed = || result.as_ref().err().cloned().unwrap_or(StateError::Closed);
                    // Here, not where the answer is taken: the client may be gone by then, but its messages remain.
                    woken.filter(|_| !known).into_iter().for_each(|woken| (woken.0)());
                    reply.give(accepts.next().unwrap_or_else(|| Err(failed().into())));
                }
                Job::Save { reply, .. } => reply.give(result.clone()),
                Job::Sent { reply, .. }
                | Job::Adopt { reply, .. }
                | Job::AdoptedSent { reply, .. }
                | Job::Confirm { reply, .. }
                | Job::Flush { reply } => {
                    let _ = reply.send(result.clone());
                }
            }
        }
    }

    /// Runs a group of requests in one transaction. On failure nothing of it is kept.
    fn commit(
        &mut self,
        group: &mut [Job],
        durable: bool,
    ) -> Result<Vec<Result<Vec<Accepted>, AcceptError>>, StateError> {
        let places = Places::of(group);
        if let Err(error) = self.heal() {
            self.ahead.failed(self.shared, places);
            return Err(error);
        }
        let mut ahead = std::mem::take(&mut self.ahead);
        let outcome = self.shared.disk.read(|database| self.write(database, group, durable, &mut ahead));
        self.ahead = ahead;
        let ((accepts, mut outcome), durable) = match outcome {
            Ok(done) => done,
            Err(error) => {
                // The library refuses further work after a failure; the state of the file is known only after reopening it.
                self.shared.suspect.store(true, Ordering::Release);
                self.ahead.failed(self.shared, places);
                return Err(error);
            }
        };
        let producer = outcome.producer.clone();
        let removed_bytes = outcome.removed_bytes;
        let mut ready = self.shared.ready();
        ready.add(std::mem::take(&mut outcome.written));
        for job in &*group {
            if let Job::Sent { runs, .. } = job {
                runs.iter().for_each(|run| ready.sent(run.last));
            }
        }
        drop(ready);
        outcome.take_over(&mut self.shared.memory_mut());
        if let Some(producer) = producer {
            self.shared.set_producer(producer);
            // What it accepted under the old one counts as sent.
            let mut line = self.shared.line();
            self.shared.ready().clear();
            line.unready = line.last;
        }
        self.behind = false;
        self.ahead.committed(self.shared, places, durable);
        if durable {
            self.unflushed.clear();
            self.unflushed_bytes = 0;
            self.dirty_since = None;
            return Ok(accepts);
        }
        for job in group {
            if let Job::Sent { runs, .. } = job {
                runs.iter().for_each(|run| Run::add(&mut self.unflushed, *run));
            }
        }
        self.unflushed_bytes += removed_bytes;
        self.dirty_since.get_or_insert_with(clock::now);
        Ok(accepts)
    }

    /// Writes a removed file to its path again. While that fails, the open file is still used: it has the unsent messages.
    fn restore_file(&mut self) {
        if !self.shared.disk.is_removed()
            || self.restore_failed_at.is_some_and(|since| clock::now().since(since) < RESTORE_RETRY_DELAY)
        {
            return;
        }
        // The file may lack what was not durable.
        self.behind = true;
        let path = self.shared.disk.path();
        match self.shared.put_back() {
            Ok(()) => {
                self.restore_failed_at = None;
                tracing::warn!(file = %path.display(), "the store of this node was removed; writing it again with its full content");
            }
            Err(error) => {
                self.restore_failed_at = Some(clock::now());
                tracing::error!(file = %path.display(), %error, "the store of this node was removed and cannot be written again; new messages are refused");
            }
        }
    }

    fn heal(&mut self) -> Result<(), StateError> {
        self.restore_file();
        if self.shared.disk.is_open() && !self.shared.suspect.load(Ordering::Acquire) {
            return Ok(());
        }
        self.behind = true;
        self.shared.disk.reopen()?;
        self.shared.suspect.store(false, Ordering::Release);
        tracing::info!("reopened the store of this node after a failure");
        Ok(())
    }

    /// Writes the transaction; also returns whether it was durable.
    fn write(
        &self,
        database: &Database,
        group: &mut [Job],
        durable: bool,
        ahead: &mut Ahead,
    ) -> Result<(Done, bool), redb::Error> {
        let mut durable = durable || self.behind;
        let wakers = ahead::wakers(group);
        let transaction = database.begin_write()?;
        let memory = self.shared.memory();
        if self.behind {
            confirmed::restore(&transaction, &self.shared.producer())?;
        }
        let saved: Option<Vec<_>> = group.iter().map(Job::saved).collect();
        if let Some(saved) = saved.filter(|saved| !self.behind && !saved.is_empty()) {
            durable |= saved.iter().any(|change| change.durable);
            let outcome = save_only(&transaction, &memory, &saved)?;
            commit(transaction, durable)?;
            return Ok(((Vec::new(), outcome), durable));
        }
        let mut change = Change::begin(&transaction, &memory)?;
        if self.behind {
            change.restore(&memory, ahead.answered(&memory))?;
            change.sent(&self.unflushed)?;
        }
        let (mut accepts, mut numbered) = (Vec::new(), false);
        for job in group {
            match job {
                Job::Accept { messages, first, now_wall_ms, .. } => {
                    numbered |= first.is_some();
                    let messages = std::mem::take(messages);
                    let accepted = change.accept(messages, *first, *now_wall_ms, self.shared.outbox_bytes)?;
                    let news = |accepted: &Accepted| matches!(accepted, Accepted::New { .. });
                    durable |= accepted.as_ref().is_ok_and(|accepted| accepted.iter().any(news));
                    accepts.push(accepted);
                }
                Job::Sent { runs, .. } => change.sent(runs)?,
                Job::Save { change: saved, .. } => {
                    durable |= saved.durable;
                    change.state.save(saved, &memory);
                }
                Job::Adopt { part, .. } => {
                    durable = true;
                    change.adopt(part)?;
                }
                Job::AdoptedSent { producer, run, .. } => change.adopted_sent(producer, *run)?,
                Job::Confirm { renewed, .. } => {
                    durable |= change.confirm(renewed.as_ref(), &self.shared.producer())?;
                }
                Job::Flush { .. } => durable = true,
            }
        }
        change.reserved.1 = numbered || wakers.is_some();
        let mut outcome = change.finish(&memory)?;
        durable |=
            self.unflushed.len() > UNFLUSHED_RUNS || self.unflushed_bytes + outcome.removed_bytes > UNFLUSHED_BYTES;
        let may_go = durable && !self.behind && outcome.producer.is_none() && memory.confirmed;
        let wakers = wakers.filter(|_| may_go && ahead.covers(&outcome.written));
        if let Some(wakers) = wakers {
            ahead.go(self.shared, std::mem::take(&mut outcome.written), &wakers);
        }
        commit(transaction, durable)?;
        Ok(((accepts, outcome), durable))
    }
}
