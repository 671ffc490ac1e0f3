//! A Redis server of the simulation: the cluster's state, its clock, its stops and starts.

use crate::clock::{SECOND, Time};
use crate::network::{ConnId, Job};
use clawster::cluster::ids::EventSeq;
use clawster::cluster::time::ServerTime;
use clawster::store::memory::MemoryState;

/// One server process.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) state: MemoryState,
    /// What its clock adds to true time, in milliseconds.
    pub(crate) clock: i64,
    pub(crate) alive: bool,
    pub(crate) paused_until: Time,
    /// It was a primary once: it answers what only reads, and pings.
    pub(crate) read_only: bool,
    pub(crate) backlog: Vec<(ConnId, Job)>,
    /// What its disk holds, and what a replica has: both may lag behind.
    pub(crate) disk: MemoryState,
    pub(crate) replica: MemoryState,
    /// How far events were handed to followers.
    pub(crate) told: EventSeq,
}

/// What the servers' clocks show when the simulation begins, in milliseconds.
const EPOCH: i64 = 1_700_000_000_000;

impl Server {
    pub(crate) fn new(state: MemoryState, clock: i64) -> Self {
        Self {
            disk: state.clone(),
            replica: state.clone(),
            told: state.events(EventSeq(0), usize::MAX).last().map(|e| e.seq).unwrap_or_default(),
            state,
            clock,
            alive: true,
            paused_until: 0,
            read_only: false,
            backlog: Vec::new(),
        }
    }

    pub(crate) fn time(&self, at: Time) -> ServerTime {
        let true_ms = i64::try_from(at / (SECOND / 1000)).unwrap_or(i64::MAX);
        ServerTime(u64::try_from(EPOCH + self.clock + true_ms).unwrap_or(0))
    }
}
