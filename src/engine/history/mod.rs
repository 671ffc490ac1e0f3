//! The history of this node's heartbeats and of the cluster's events: recording it, and reading it back.
//!
//! ```text
//!                 ┌─ MongoDB: intake ─▶ spool (disk) ─▶ recorder ─▶ store     event recorder: events, by the leader
//!  driver ─▶ sample
//!                 └─ Redis: back into the pure node, whose next tick carries it
//! ```
//!
//! 1. No heartbeat and no other answer ever waits for anything here.
//! 2. A sample is recorded once; samples that cannot be recorded are counted and reported.
//!
//! `reading.rs` answers clients, `single.rs` records a one-shot heartbeat.
//!
//! Not here: the stores (`crate::store`), the content of a report (`crate::cluster::history`).

mod event_recorder;
mod intake;
mod reading;
mod recorder;
pub mod report_reader;
mod single;
pub(super) mod spool;
#[cfg(test)]
mod tests;

pub use single::{OneBeat, record_one};

use super::metrics::Metrics;
use super::state_dir::StateDir;
use crate::clock;
use crate::cluster::history::{Sample, Summary};
use crate::cluster::ids::{Incarnation, NodeId};
use crate::cluster::node::Beaten;
use crate::cluster::time::Moment;
use crate::engine::events::Hub;
use crate::engine::node::status::Status;
use crate::store::configured_history::Stores;
use crate::store::history::{Batch, HistoryStore, Source};
use crate::store::redis::RedisStore;
use event_recorder::EventRecorder;
use intake::Intake;
use recorder::Recorder;
use spool::Spool;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What identifies a sample: the node, its incarnation, and the number of the heartbeat.
type Name<'a> = (&'a NodeId, Incarnation, u64);

fn name(sample: &Sample) -> Name<'_> {
    (&sample.node_id, sample.incarnation, sample.number)
}

/// Where the history of a node is recorded.
pub(crate) enum History {
    /// Nowhere.
    Off,
    /// In Redis, carried by the node's heartbeats.
    ByTicks(Arc<Stores>),
    /// In MongoDB, by a recorder.
    ByRecorder(RecorderHandle),
}

/// The connection to a recorder.
pub(crate) struct RecorderHandle {
    store: Arc<Stores>,
    intake: Arc<Intake>,
    ending: watch::Sender<Option<Moment>>,
    ended: watch::Receiver<bool>,
}

/// What the tasks of the recorder need from the node.
pub(super) struct Surroundings<'a> {
    pub(super) state_dir: &'a StateDir,
    /// A name that no other process has.
    pub(super) process: &'a str,
    pub(super) metrics: &'a Arc<Metrics>,
    pub(super) redis: &'a Arc<RedisStore>,
    pub(super) hub: &'a Arc<Hub>,
    pub(super) status: &'a watch::Receiver<Status>,
}

impl History {
    /// Starts the history of a running node, with its tasks. `summary` is the unfinished summary of the incarnation that it
    /// continues.
    pub(super) fn begin(
        store: Option<Stores>,
        summary: Option<Summary>,
        around: &Surroundings<'_>,
        tasks: &mut JoinSet<()>,
    ) -> Arc<Self> {
        let Some(store) = store.map(Arc::new) else { return Arc::new(Self::Off) };
        if store.source() == Source::Redis {
            return Arc::new(Self::ByTicks(store));
        }
        let intake = Intake::new(Arc::clone(around.metrics), summary);
        let (ending, to_end) = watch::channel(None);
        let (end_sender, ended) = watch::channel(false);
        let spool = Arc::new(Mutex::new(Spool::new(around.state_dir, around.process)));
        let recorder = Recorder {
            store: Arc::clone(&store),
            intake: Arc::clone(&intake),
            spool,
            metrics: Arc::clone(around.metrics),
            ending: to_end,
            ended: end_sender,
        };
        let event_recorder = EventRecorder {
            store: Arc::clone(&store),
            redis: Arc::clone(around.redis),
            hub: Arc::clone(around.hub),
            status: around.status.clone(),
        };
        tasks.spawn(recorder.run());
        tasks.spawn(event_recorder.run());
        Arc::new(Self::ByRecorder(RecorderHandle { store, intake, ending, ended }))
    }

    /// Takes a sample; returns it if the node itself has to carry it.
    pub(super) fn take(&self, sample: Sample) -> Option<Sample> {
        match self {
            Self::Off => None,
            Self::ByTicks(_) => Some(sample),
            Self::ByRecorder(recorder) => {
                recorder.intake.put(sample);
                None
            }
        }
    }

    /// Records what waits, for at most `within`; `carried` are the samples that the node has not sent yet.
    pub(super) async fn finish(&self, carried: Vec<Sample>, within: Duration) {
        match self {
            Self::Off => {}
            Self::ByTicks(store) => {
                if carried.is_empty() {
                    return;
                }
                let batch = Batch { samples: carried, summaries: Vec::new(), unsure: true };
                match tokio::time::timeout(within, store.record(&batch)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(why)) => tracing::debug!(error = %why, "the last heartbeats are missing from the history"),
                    Err(_) => tracing::debug!(
                        "the last heartbeats are missing from the history: Redis did not answer in time"
                    ),
                }
            }
            Self::ByRecorder(recorder) => {
                recorder.ending.send_replace(Some(clock::now() + within));
                let mut ended = recorder.ended.clone();
                // A disk that hangs must not delay the end; samples on it stay there.
                let _ = tokio::time::timeout(within + Duration::from_millis(100), ended.wait_for(|ended| *ended)).await;
            }
        }
    }

    pub(super) fn store(&self) -> Option<&Stores> {
        match self {
            Self::Off => None,
            Self::ByTicks(store) => Some(store),
            Self::ByRecorder(recorder) => Some(&recorder.store),
        }
    }

    /// The samples that wait for the recorder.
    fn unrecorded(&self) -> Vec<Sample> {
        match self {
            Self::Off | Self::ByTicks(_) => Vec::new(),
            Self::ByRecorder(recorder) => recorder.intake.unrecorded(),
        }
    }
}

/// The sample of a heartbeat; `lag` is the number of unacknowledged messages, `peers` that of nodes that answer by gossip.
pub(super) fn sample(beaten: Beaten, lag: u64, memory: u64, peers: Option<u64>) -> Sample {
    Sample {
        node_id: beaten.instance.node_id,
        incarnation: beaten.instance.incarnation,
        number: beaten.number,
        at: beaten.at,
        leads: beaten.leads,
        term: beaten.term,
        leader_id: beaten.leader_id,
        round_trip: beaten.round_trip,
        attempts: beaten.attempts,
        delay: beaten.delay,
        lag,
        memory,
        peers,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        interval: beaten.interval,
    }
}
