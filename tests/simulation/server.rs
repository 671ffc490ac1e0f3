//! A Redis server of the simulation: the cluster's state, its clock, its stops and starts.

use crate::clock::{SECOND, Time};
use crate::network::{ConnId, Job};
use clawster::cluster::ids::{EventSeq, Nonce};
use clawster::cluster::node::{Node, Standing};
use clawster::cluster::protocol::{Call, Campaign, Reply, Rule};
use clawster::cluster::time::ServerTime;
use std::time::Duration;
use testkit::memory::MemoryState;

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
    /// Connections to it, some of which may be closed.
    pub(crate) open: Vec<ConnId>,
    /// What its disk holds, and what a replica has: both may lag behind.
    pub(crate) disk: MemoryState,
    pub(crate) replica: MemoryState,
    /// When these copies were made.
    pub(crate) disk_at: Time,
    pub(crate) replica_at: Time,
    /// How far events were handed to followers.
    pub(crate) told: EventSeq,
    /// When it took the last heartbeat or join, by its clock.
    pub(crate) guarded: ServerTime,
    /// For a control: a stall guard outside the state.
    pub(crate) last_tick: ServerTime,
    pub(crate) held_back: Duration,
}

/// What the servers' clocks show when the simulation begins, in milliseconds.
const EPOCH: i64 = 1_700_000_000_000;

impl Server {
    pub(crate) fn new(state: MemoryState, clock: i64) -> Self {
        Self {
            disk: state.clone(),
            replica: state.clone(),
            disk_at: 0,
            replica_at: 0,
            told: state.events(EventSeq(0), usize::MAX).last().map(|e| e.seq).unwrap_or_default(),
            state,
            clock,
            alive: true,
            paused_until: 0,
            read_only: false,
            guarded: ServerTime::default(),
            last_tick: ServerTime::default(),
            held_back: Duration::ZERO,
            backlog: Vec::new(),
            open: Vec::new(),
        }
    }

    /// The time less every silence of more than a quarter of the TTL: a stall guard that is too eager.
    pub(crate) fn time_guarded(&mut self, at: ServerTime, call: &Call, ttl: Duration) -> ServerTime {
        if matches!(call, Call::Tick(_) | Call::Join(_)) {
            let silence = at.since(self.last_tick);
            if self.last_tick.0 > 0 && silence > ttl / 4 {
                self.held_back += silence;
            }
            self.last_tick = at;
        }
        ServerTime(at.0 - clawster::cluster::time::millis(self.held_back))
    }

    /// A candidate that was just shown an expired record takes it at once, as a plain `SET NX PX` would let it.
    pub(crate) fn acquire_for(&mut self, node: &Node, reply: &Reply, at: ServerTime) {
        let (Reply::Watch(watch), Standing::Member(instance)) = (reply, node.standing()) else { return };
        let Some(record) = watch.leader.as_ref().filter(|r| at > r.expires_at) else { return };
        if record.holder.as_ref().is_some_and(|holder| holder != instance) {
            if let Some(holder) = &record.holder {
                self.state.apply(&Call::Resign { instance: holder.clone(), term: record.term }, at);
            }
            let campaign = Campaign {
                instance: instance.clone(),
                rule: Rule::Vacant,
                seen: record.term,
                nonce: Nonce::new("eager").expect("a nonce"),
                presence: None,
                promise: clawster::cluster::settings::Promise::default(),
                stated: 0,
                seen_for: Duration::from_secs(1_000_000),
                known_token: 0,
            };
            self.state.apply(&Call::Campaign(Box::new(campaign)), at);
        }
    }

    pub(crate) fn time(&self, at: Time) -> ServerTime {
        let true_ms = i64::try_from(at / (SECOND / 1000)).unwrap_or(i64::MAX);
        ServerTime(u64::try_from(EPOCH + self.clock + true_ms).unwrap_or(0))
    }
}
