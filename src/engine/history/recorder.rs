//! Moves the node's samples to the store: takes them in batches, keeps them in the spool, records them in order.
//!
//! ```text
//!  node ──▶ intake (memory) ──▶ spool (disk) ──▶ store ──▶ confirmed, gone from the spool
//! ```
//!
//! 1. At most one batch per second is taken, and at most one is on its way to the store; nothing waits for either.
//! 2. A batch whose outcome is unknown is sent again, marked as unsure, and stays in the spool until the store has
//!    confirmed it.
//! 3. The loss of the store is logged once, and so is its return.
//!
//! Not here: recognizing samples that the store already has (`crate::store::mongodb`), events (`event_recorder.rs`).

use super::super::metrics::Metrics;
use super::intake::Intake;
use super::spool::{Portion, Spool};
use crate::clock;
use crate::cluster::history::Sample;
use crate::cluster::time::{Moment, millis};
use crate::store::history::{HistoryFault, HistoryStore};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// The maximum number of samples of one write to the store.
const PORTION: usize = 500;
/// The pause between two batches.
const BATCH_INTERVAL: Duration = Duration::from_secs(1);
/// The first pause after a failure; each further failure doubles it.
const FIRST_RETRY_DELAY: Duration = Duration::from_secs(1);
/// The longest pause after a failure.
const MAX_RETRY_DELAY: Duration = Duration::from_secs(8);
/// How long the store has to answer before it counts as lost; the call itself continues.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// See the head of this file.
pub(super) struct Recorder<S> {
    pub(super) store: Arc<S>,
    pub(super) intake: Arc<Intake>,
    pub(super) spool: Arc<Mutex<Spool>>,
    pub(super) metrics: Arc<Metrics>,
    /// Set when the node ends: the deadline for the recorder.
    pub(super) ending: watch::Receiver<Option<Moment>>,
    /// Becomes true when the recorder has ended.
    pub(super) ended: watch::Sender<bool>,
}

/// A batch on its way to the store.
struct Write {
    entries: usize,
    samples: Vec<Sample>,
    sent: Moment,
}

type Written = Result<(), HistoryFault>;

/// The state of the recorder.
#[derive(Default)]
struct Progress {
    write: Option<Write>,
    writes: JoinSet<Written>,
    lost: bool,
    failures: u32,
    next_try: Moment,
    next_take: Moment,
}

impl<S: HistoryStore> Recorder<S> {
    /// Runs until the node is gone.
    pub(super) async fn run(self) {
        let mut progress = Progress::default();
        self.with(Spool::take_over).await;
        self.write_next(&mut progress).await;
        loop {
            let now = clock::now();
            let waits = progress.write.is_none() && self.count().0 > 0;
            let timeout_at = progress.write.as_ref().filter(|_| !progress.lost).map(|write| write.sent + WRITE_TIMEOUT);
            let mut ending = self.ending.clone();
            tokio::select! {
                () = wait(progress.next_take, now, self.intake.some()) => {
                    progress.next_take = clock::now() + BATCH_INTERVAL;
                    self.take_in().await;
                    self.write_next(&mut progress).await;
                }
                Some(written) = progress.writes.join_next() => {
                    self.written(&mut progress, written.unwrap_or_else(broke_down)).await;
                    self.write_next(&mut progress).await;
                }
                () = tokio::time::sleep(progress.next_try.since(now)), if waits => self.write_next(&mut progress).await,
                () = pause_until(timeout_at, now) => self.store_failed(&mut progress, "no answer for 5 s"),
                Ok(end) = until_ending(&mut ending) => return self.finish(progress, end).await,
            }
        }
    }

    /// Runs an operation on the spool on a blocking thread.
    async fn with<R: Send + 'static>(&self, work: impl FnOnce(&mut Spool) -> R + Send + 'static) -> Option<R> {
        let spool = Arc::clone(&self.spool);
        let working = tokio::task::spawn_blocking(move || {
            let mut spool = spool.lock().unwrap_or_else(PoisonError::into_inner);
            let outcome = work(&mut spool);
            (outcome, spool.waiting(), spool.on_disk())
        });
        match working.await {
            Ok((outcome, _, on_disk)) => {
                self.metrics.history_spooled.set(i64::try_from(on_disk).unwrap_or(i64::MAX));
                Some(outcome)
            }
            Err(error) => {
                tracing::error!(%error, "an operation on the history spool failed unexpectedly");
                None
            }
        }
    }

    /// The number of samples in the spool, in all and on disk.
    fn count(&self) -> (usize, usize) {
        // The lock is free: the loop waits for each operation on the spool.
        let spool = self.spool.lock().unwrap_or_else(PoisonError::into_inner);
        (spool.waiting(), spool.on_disk())
    }

    async fn take_in(&self) {
        while let Some(batch) = self.intake.take(PORTION) {
            let samples = batch.samples.len() as u64;
            if self.with(move |spool| spool.append(batch)).await != Some(true) {
                self.intake.dropped(samples);
            }
        }
    }

    /// Sends the next batch, if it is due.
    async fn write_next(&self, progress: &mut Progress) {
        if progress.write.is_some() || progress.next_try > clock::now() {
            return;
        }
        let Some(Some(Portion { batch, entries, lost })) = self.with(|spool| spool.front(PORTION)).await else {
            return;
        };
        self.intake.dropped(lost as u64);
        progress.write = Some(Write { entries, samples: batch.samples.clone(), sent: clock::now() });
        let store = Arc::clone(&self.store);
        progress.writes.spawn(async move {
            match batch.samples.is_empty() {
                true => Ok(()),
                false => store.record(&batch).await,
            }
        });
    }

    async fn written(&self, progress: &mut Progress, written: Written) {
        let Some(Write { entries, samples, .. }) = progress.write.take() else { return };
        match written {
            Ok(()) => {
                self.with(move |spool| spool.confirm(entries)).await;
                self.intake.recorded(&samples);
                self.metrics.history_recorded.inc_by(samples.len() as u64);
                progress.failures = 0;
                if std::mem::take(&mut progress.lost) {
                    let waiting = self.count().0;
                    tracing::info!(waiting, "history recording resumed; recording the heartbeats that waited");
                }
            }
            Err(fault) => {
                self.with(move |spool| spool.doubt(entries)).await;
                let pause = FIRST_RETRY_DELAY.saturating_mul(1 << progress.failures.min(3)).min(MAX_RETRY_DELAY);
                progress.failures += 1;
                progress.next_try = clock::now() + pause;
                self.store_failed(progress, &fault.to_string());
            }
        }
    }

    fn store_failed(&self, progress: &mut Progress, why: &str) {
        if !std::mem::replace(&mut progress.lost, true) {
            tracing::warn!(
                "cannot record the history: {why}; heartbeats are kept on this host's disk and recorded later"
            );
        }
    }

    /// Ends the recorder: records what waits until `end`; the rest stays on disk.
    async fn finish(self, mut progress: Progress, end: Moment) {
        self.take_in().await;
        let left = end.since(clock::now());
        let recording = async {
            while !progress.lost {
                if let Some(written) = progress.writes.join_next().await {
                    self.written(&mut progress, written.unwrap_or_else(broke_down)).await;
                }
                self.write_next(&mut progress).await;
                if progress.write.is_none() {
                    break;
                }
            }
        };
        let in_time = tokio::time::timeout(left, recording).await.is_ok();
        let (waiting, on_disk) = self.count();
        if waiting > 0 {
            let took_ms = millis(left);
            tracing::warn!(
                waiting,
                on_disk,
                in_time,
                took_ms,
                "some heartbeats are not recorded yet; the next process on this host records them"
            );
        }
        self.with(Spool::close).await;
        self.ended.send_replace(true);
        std::future::pending::<()>().await;
    }
}

fn broke_down(error: tokio::task::JoinError) -> Written {
    Err(HistoryFault::Unavailable(format!("recording failed unexpectedly: {error}")))
}

async fn wait(until: Moment, now: Moment, what: impl Future<Output = ()>) {
    tokio::time::sleep(until.since(now)).await;
    what.await;
}

async fn pause_until(at: Option<Moment>, now: Moment) {
    match at {
        Some(at) => tokio::time::sleep(at.since(now)).await,
        None => std::future::pending().await,
    }
}

async fn until_ending(ending: &mut watch::Receiver<Option<Moment>>) -> Result<Moment, watch::error::RecvError> {
    let end = ending.wait_for(Option::is_some).await?;
    Ok(end.unwrap_or_default())
}
