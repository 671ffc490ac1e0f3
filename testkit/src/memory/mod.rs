//! The cluster's state in memory, for the simulator and as the second subject of the contract suite.
//!
//! 1. [`MemoryState`] does exactly what the scripts in `src/store/redis/scripts` do, and is pure.
//! 2. [`MemoryStore`] holds its lock for one transition and never across an await.

#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod acquire;
mod capability;
mod census;
mod data;
mod election;
mod join;
mod leases;
mod limits;
mod once;
mod opening;
mod schedules;
mod sorted;
mod state;
mod sync;
mod task;
mod task_blocked;
mod task_data;
mod task_read;
mod tick;
mod transcripts;
mod withdraw;

pub use state::{Channel, MemoryState, Posted};

use clawster::cluster::event::ClusterEvent;
use clawster::cluster::ids::{EventSeq, MessageSeq};
use clawster::cluster::protocol::{Call, Entry, Fault, ServerId};
use clawster::cluster::time::{ServerTime, millis};
use clawster::store::{Answer, Store};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The server's clock at the boot of this host: high enough to look like a date, so that numbers made from it do, too.
const BOOT: u64 = 1_600_000_000_000;

/// A cluster's state in this process.
#[derive(Debug)]
pub struct MemoryStore {
    /// The state, and by how much its clock was put forward.
    inner: Mutex<(MemoryState, Duration)>,
}

impl MemoryStore {
    /// A store on a fresh server.
    #[must_use]
    pub fn new(server: ServerId) -> Self {
        Self { inner: Mutex::new((MemoryState::new(server), Duration::ZERO)) }
    }

    fn lock(&self) -> MutexGuard<'_, (MemoryState, Duration)> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the server itself: its subscriptions, its data, its identity.
    pub fn with<T>(&self, change: impl FnOnce(&mut MemoryState) -> T) -> T {
        change(&mut self.lock().0)
    }

    /// Puts the server's clock forward.
    pub fn advance(&self, by: Duration) {
        self.lock().1 += by;
    }

    /// Puts the server's clock back, no further than it was put forward.
    pub fn turn_back(&self, by: Duration) {
        let mut inner = self.lock();
        inner.1 = inner.1.saturating_sub(by);
    }
}

impl Store for MemoryStore {
    async fn call(&self, call: Call) -> Result<Answer, Fault> {
        let mut inner = self.lock();
        let now = ServerTime(BOOT + millis(clawster::clock::now().0 + inner.1));
        let reply = inner.0.apply(&call, now);
        Ok(Answer { reply, server: inner.0.server_id().clone() })
    }

    async fn events(&self, after: EventSeq, count: usize) -> Result<Vec<ClusterEvent>, Fault> {
        Ok(self.lock().0.events(after, count))
    }

    async fn messages(&self, after: MessageSeq, count: usize) -> Result<Vec<Entry>, Fault> {
        Ok(self.lock().0.messages(after, count))
    }
}
