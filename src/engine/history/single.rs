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
