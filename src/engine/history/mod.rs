//! The history of this node's heartbeats and of the cluster's events, on its way to where it is kept, and read back.
//!
//! ```text
//!                 ┌─ MongoDB: intake ─▶ spool (disk) ─▶ recorder ─▶ store     chronicle: events, by the leader
//!  driver ─▶ sample
//!                 └─ Redis: back into the pure node, whose next tick carries it
//! ```
//!
//! 1. Nothing here is ever waited for by a heartbeat or by an answer to another question.
//! 2. A sample is recorded once; what cannot be recorded is counted and told.
//!
//! `reading.rs` what clients ask · `single.rs` a one-shot heartbeat's sample.
//!
//! Not here: the stores (`crate::store`), what a report says (`crate::cluster::history`).

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
use crate::engine::node::driver::Status;
use crate::store::history::{Batch, HistoryStore, Source, Stores};
use crate::store::redis::RedisStore;
use event_recorder::EventRecorder;
use intake::Intake;
use recorder::Recorder;
use spool::Spool;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What names a sample.
type Name<'a> = (&'a NodeId, Incarnation, u64);

fn name(sample: &Sample) -> Name<'_> {
    (&sample.node_id, sample.incarnation, sample.number)
}

/// Where a node's history goes.
pub(crate) enum History {
    /// None is kept.
    Off,
    /// The node's ticks carry it.
    Carried(Arc<Stores>),
    /// A recorder brings it.
    Brought(Brought),
}

/// The way to a recorder.
pub(crate) struct Brought {
    store: Arc<Stores>,
    intake: Arc<Intake>,
    ending: watch::Sender<Option<Moment>>,
    ended: watch::Receiver<bool>,
}

/// What the recorder's tasks need of the node.
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
    /// The history of a node that runs, with its tasks. `summary`: of the life that it goes on with.
    pub(super) fn begin(
        store: Option<Stores>,
        summary: Option<Summary>,
        around: &Surroundings<'_>,
        tasks: &mut JoinSet<()>,
    ) -> Arc<Self> {
        let Some(store) = store.map(Arc::new) else { return Arc::new(Self::Off) };
        if store.source() == Source::Redis {
            return Arc::new(Self::Carried(store));
        }
        let intake = Intake::new(Arc::clone(around.metrics), summary);
        let (ending, to_end) = watch::channel(None);
        let (told, ended) = watch::channel(false);
        let spool = Arc::new(Mutex::new(Spool::new(around.state_dir, around.process)));
        let recorder = Recorder {
            store: Arc::clone(&store),
            intake: Arc::clone(&intake),
            spool,
            metrics: Arc::clone(around.metrics),
            ending: to_end,
            ended: told,
        };
        let event_recorder = EventRecorder {
            store: Arc::clone(&store),
            redis: Arc::clone(around.redis),
            hub: Arc::clone(around.hub),
            status: around.status.clone(),
        };
        tasks.spawn(recorder.run());
        tasks.spawn(event_recorder.run());
        Arc::new(Self::Brought(Brought { store, intake, ending, ended }))
    }

    /// Takes a sample; one that the node itself has to carry is given back.
    pub(super) fn take(&self, sample: Sample) -> Option<Sample> {
        match self {
            Self::Off => None,
            Self::Carried(_) => Some(sample),
            Self::Brought(brought) => {
                brought.intake.put(sample);
                None
            }
        }
    }

    /// Records what waits, as far as that goes within `patience`; `carried`: what the node still has to carry.
    pub(super) async fn finish(&self, carried: Vec<Sample>, patience: Duration) {
        match self {
            Self::Off => {}
            Self::Carried(store) => {
                if carried.is_empty() {
                    return;
                }
                let batch = Batch { samples: carried, summaries: Vec::new(), unsure: true };
                match tokio::time::timeout(patience, store.record(&batch)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(why)) => tracing::debug!(error = %why, "the last heartbeats are missing from the history"),
                    Err(_) => tracing::debug!(
                        "the last heartbeats are missing from the history: Redis did not answer in time"
                    ),
                }
            }
            Self::Brought(brought) => {
                brought.ending.send_replace(Some(clock::now() + patience));
                let mut ended = brought.ended.clone();
                // A disk that hangs must not hold up the end; what is on it stays there.
                let _ =
                    tokio::time::timeout(patience + Duration::from_millis(100), ended.wait_for(|ended| *ended)).await;
            }
        }
    }

    pub(super) fn store(&self) -> Option<&Stores> {
        match self {
            Self::Off => None,
            Self::Carried(store) => Some(store),
            Self::Brought(brought) => Some(&brought.store),
        }
    }

    /// Samples that wait for the recorder.
    fn unrecorded(&self) -> Vec<Sample> {
        match self {
            Self::Off | Self::Carried(_) => Vec::new(),
            Self::Brought(brought) => brought.intake.unrecorded(),
        }
    }
}

/// The sample of a heartbeat; `lag`: how many messages wait for the node.
pub(super) fn sample(beaten: Beaten, lag: u64, memory: u64) -> Sample {
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
        version: env!("CARGO_PKG_VERSION").to_owned(),
        interval: beaten.interval,
    }
}
