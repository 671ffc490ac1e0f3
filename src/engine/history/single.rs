//! Records the sample of a one-shot heartbeat, in the process of that heartbeat.
//!
//! 1. It takes at most [`RECORD_TIMEOUT`], after the heartbeat is done.
//! 2. What MongoDB does not accept in that time waits on this host's disk for the next process; what Redis does not accept
//!    is lost.
//!
//! Not here: the heartbeat (`super::super::oneshot`).

use super::super::state_dir::StateDir;
use super::spool::Spool;
use crate::clock;
use crate::cluster::history::{Sample, Summary};
use crate::engine::node::handle::{Beat, Role};
use crate::store::configured_history::Stores;
use crate::store::history::{Batch, HistoryFault, HistoryStore, Source};
use crate::store::mongodb::Timeouts;
use std::time::Duration;

/// How long recording may take.
const RECORD_TIMEOUT: Duration = Duration::from_secs(2);
/// The waiting times of a process that must end soon. It waits only shortly for a write of an earlier process that may
/// still reach a frozen server: at worst that one heartbeat is recorded twice.
const ONE_SHOT_TIMEOUTS: Timeouts =
    Timeouts { write: RECORD_TIMEOUT, stable_for: Duration::from_secs(1), answer: Duration::from_millis(1_500) };
/// The maximum number of samples of earlier processes that are recorded along with it.
const PORTION: usize = 500;

/// The facts about a one-shot heartbeat.
#[derive(Debug, Clone)]
pub struct OneBeat {
    /// The heartbeat.
    pub beat: Beat,
    /// The number of the heartbeat within its incarnation.
    pub number: u64,
    /// The time from the first attempt of the process to the answer.
    pub delay: Duration,
    /// The heartbeat interval of the cluster.
    pub interval: Duration,
}

impl OneBeat {
    /// Adds the heartbeat to the summary of its ten minutes.
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
            peers: None,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            interval: self.interval,
        }
    }
}

/// Records a one-shot heartbeat. `summary` is the summary of its ten minutes including it; `process` is a name that no
/// other process has.
pub async fn record_one(store: Stores, dir: &StateDir, process: &str, beat: &OneBeat, summary: Option<Summary>) {
    let source = store.source();
    let store = match store {
        Stores::Mongodb(store) => Stores::Mongodb(Box::new(store.with_timeouts(ONE_SHOT_TIMEOUTS))),
        other @ Stores::Redis(_) => other,
    };
    let batch = Batch { samples: vec![beat.sample()], summaries: summary.into_iter().collect(), unsure: false };
    let end = clock::now() + RECORD_TIMEOUT;
    let why = match tokio::time::timeout(RECORD_TIMEOUT, store.record(&batch)).await {
        Ok(Ok(())) => None,
        Ok(Err(why)) => Some(why.to_string()),
        Err(_) => Some("no answer within 2 s".to_owned()),
    };
    if source == Source::Redis {
        if let Some(why) = why {
            tracing::warn!("this heartbeat is missing from the history: {why}");
        }
        return;
    }
    let mut spool = Spool::new(dir, process);
    match why {
        Some(why) => {
            spool.go_on();
            let kept = spool.append(Batch { unsure: true, ..batch }) && spool.on_disk() > 0;
            let then = if kept {
                "the next process on this host records it"
            } else {
                "it could not be saved on disk either and is lost"
            };
            tracing::warn!("MongoDB did not record this heartbeat ({why}); {then}");
        }
        None => {
            spool.take_over();
            let recording = async {
                while let Some(portion) = spool.front(PORTION) {
                    store.record(&portion.batch).await?;
                    spool.confirm(portion.entries);
                }
                Ok::<(), HistoryFault>(())
            };
            // What is not recorded in time stays on disk.
            let _ = tokio::time::timeout(end.since(clock::now()), recording).await;
        }
    }
    spool.close();
}
