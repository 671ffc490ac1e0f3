//! The queue of samples that the node fills without waiting.
//!
//! 1. Bounded: beyond [`MAX_WAITING_SAMPLES`] samples are dropped, counted, and reported in the log once a minute.
//! 2. A sample counts as unrecorded until a store has confirmed it.
//!
//! Not here: recording the samples (`recorder.rs`).

use super::super::metrics::Metrics;
use crate::clock;
use crate::cluster::history::{Sample, Summary};
use crate::cluster::time::Moment;
use crate::store::history::Batch;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// The maximum number of samples that wait for the recorder.
const MAX_WAITING_SAMPLES: usize = 10_000;
/// The maximum number of unrecorded samples that readers of the history get from here.
const REMEMBERED: usize = 1_000;
/// How often dropped samples are reported in the log.
const WARNING_INTERVAL: Duration = Duration::from_mins(1);

#[derive(Default)]
struct Waiting {
    queue: VecDeque<Sample>,
    unrecorded: VecDeque<Sample>,
    /// The last summary; the next sample may belong to it.
    summary: Option<Summary>,
    dropped: u64,
    warned_at: Option<Moment>,
}

/// See the head of this file.
pub(super) struct Intake {
    waiting: Mutex<Waiting>,
    came: Notify,
    metrics: Arc<Metrics>,
}

impl Intake {
    /// An empty queue; `summary` is the unfinished summary that the next samples of the same incarnation continue.
    pub(super) fn new(metrics: Arc<Metrics>, summary: Option<Summary>) -> Arc<Self> {
        let waiting = Mutex::new(Waiting { summary, ..Waiting::default() });
        Arc::new(Self { waiting, came: Notify::new(), metrics })
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a sample.
    pub(super) fn put(&self, sample: Sample) {
        let mut waiting = self.waiting();
        if waiting.queue.len() >= MAX_WAITING_SAMPLES {
            drop(waiting);
            return self.dropped(1);
        }
        if waiting.unrecorded.len() >= REMEMBERED {
            waiting.unrecorded.pop_front();
        }
        waiting.unrecorded.push_back(sample.clone());
        waiting.queue.push_back(sample);
        let count = waiting.queue.len();
        drop(waiting);
        self.metrics.history_waiting.set(i64::try_from(count).unwrap_or(i64::MAX));
        self.came.notify_one();
    }

    /// Waits until there is a sample.
    pub(super) async fn some(&self) {
        while self.waiting().queue.is_empty() {
            self.came.notified().await;
        }
    }

    /// Takes the oldest samples, with the summaries that they belong to; `None`: there are none.
    pub(super) fn take(&self, most: usize) -> Option<Batch> {
        let mut waiting = self.waiting();
        let count = waiting.queue.len().min(most);
        let samples: Vec<Sample> = waiting.queue.drain(..count).collect();
        let mut summaries: Vec<Summary> = Vec::new();
        for sample in &samples {
            let known = waiting.summary.as_mut().is_some_and(|summary| summary.add(sample));
            if !known {
                let same_life = |s: &&Summary| s.node_id == sample.node_id && s.incarnation == sample.incarnation;
                let previous = waiting.summary.as_ref().filter(same_life).map(|summary| summary.last_at);
                // Its ten minutes are over.
                summaries.extend(waiting.summary.take().filter(|summary| holds(summary, &samples)));
                waiting.summary = Some(Summary::of(sample, previous));
            }
        }
        summaries.extend(waiting.summary.clone().filter(|_| count > 0));
        self.metrics.history_waiting.set(i64::try_from(waiting.queue.len()).unwrap_or(i64::MAX));
        (count > 0).then_some(Batch { samples, summaries, unsure: false })
    }

    /// Marks samples as recorded: a store has confirmed them.
    pub(super) fn recorded(&self, samples: &[Sample]) {
        let names: std::collections::BTreeSet<_> = samples.iter().map(super::name).collect();
        self.waiting().unrecorded.retain(|known| !names.contains(&super::name(known)));
    }

    /// The samples that no store has confirmed, oldest first, at most the newest [`REMEMBERED`].
    pub(super) fn unrecorded(&self) -> Vec<Sample> {
        self.waiting().unrecorded.iter().cloned().collect()
    }

    /// Counts samples that were given up, and reports them in the log.
    pub(super) fn dropped(&self, samples: u64) {
        if samples == 0 {
            return;
        }
        self.metrics.history_dropped.inc_by(samples);
        let now = clock::now();
        let dropped = {
            let mut waiting = self.waiting();
            waiting.dropped += samples;
            if waiting.warned_at.is_some_and(|at| now.since(at) < WARNING_INTERVAL) {
                return;
            }
            waiting.warned_at = Some(now);
            std::mem::take(&mut waiting.dropped)
        };
        tracing::warn!(dropped, "heartbeats are missing from the history: the queue of unrecorded heartbeats is full");
    }
}

/// Whether the last heartbeat of a summary is among these samples.
fn holds(summary: &Summary, samples: &[Sample]) -> bool {
    samples.iter().any(|sample| {
        (&sample.node_id, sample.incarnation, sample.number)
            == (&summary.node_id, summary.incarnation, summary.last_number)
    })
}
