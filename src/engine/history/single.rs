//! The sample of a one-shot heartbeat, recorded by its own process.
//!
//! 1. It takes [`PATIENCE`] at most, after the heartbeat is done.
//! 2. What MongoDB does not take in that time waits on this host's disk for the next process; what Redis does not take is lost.
//!
//! Not here: the heartbeat (`super::super::oneshot`).

use super::super::handle::{Beat, Role};
use super::super::state_dir::StateDir;
use super::spool::Spool;
use crate::cluster::history::{Sample, Summary};
use crate::store::history::{Batch, HistoryStore, Source, Stores};
use std::time::Duration;

/// How long it may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// How many samples of earlier processes are brought along at most.
const PORTION: usize = 500;

/// What a one-shot heartbeat knows of itself.
#[derive(Debug, Clone)]
pub struct OneBeat {
    /// The heartbeat.
    pub beat: Beat,
    /// Its place among those of its life.
    pub number: u64,
    /// From the process's first attempt to the answer.
    pub delay: Duration,
    /// The interval that governs the cluster.
    pub interval: Duration,
}

impl OneBeat {
    /// Adds it to the summary of its ten minutes.
    pub fn sum_up(&self, summary: &mut Option<Summary>) {
        let sample = self.sample();
        if !summary.as_mut().is_some_and(|summary| summary.add(&sample)) {
            let previous = summary.take().filter(|s| s.incarnation == sample.incarnation).map(|s| s.last_at);
            *summary = Some(Summary::of(&sample, previous));
        }
    }

    fn sample(&self) -> Sample {
        let Beat { node_id, incarnation, role, term, leader_id, at, round_trip, attempts } = self.beat.clone();
        Sample {
            node_id,
            incarnation,
            number: self.number,
            at,
            leads: role == Role::Leader,
            term,
            leader_id,
            round_trip,
            attempts,
            delay: self.delay,
            lag: 0,
            memory: 0,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            interval: self.interval,
        }
    }
}

/// Records a one-shot heartbeat. `summary`: what its ten minutes add up to with it; `process`: a name that no other process has.
pub async fn record_one(store: &Stores, dir: &StateDir, process: &str, beat: &OneBeat, summary: Option<Summary>) {
    let batch = Batch { samples: vec![beat.sample()], summaries: summary.into_iter().collect(), unsure: false };
    if store.source() == Source::Redis {
        match tokio::time::timeout(PATIENCE, store.record(&batch)).await {
            Ok(Ok(())) => {}
            Ok(Err(why)) => tracing::warn!(%why, "this heartbeat is missing in the history"),
            Err(_) => tracing::warn!("this heartbeat is missing in the history: Redis did not take it within 2 s"),
        }
        return;
    }
    let (dir, process) = (dir.clone(), process.to_owned());
    let opened = tokio::task::spawn_blocking(move || {
        let mut spool = Spool::new(&dir, &process);
        spool.take_over();
        let kept = spool.append(batch);
        (spool, kept)
    });
    let Ok((mut spool, kept)) = opened.await else { return };
    let bring = async {
        while let Some(portion) = spool.front(PORTION) {
            store.record(&portion.batch).await?;
            spool.confirm(portion.entries);
        }
        Ok::<(), crate::store::history::HistoryFault>(())
    };
    let why = match tokio::time::timeout(PATIENCE, bring).await {
        Ok(Ok(())) => None,
        Ok(Err(why)) => Some(why.to_string()),
        Err(_) => Some("no answer within 2 s".to_owned()),
    };
    if let Some(why) = why {
        let waiting = spool.on_disk();
        tracing::warn!(
            kept,
            waiting,
            "MongoDB did not take this heartbeat: {why}; the next process of this host brings what waits"
        );
    }
    spool.close();
}
