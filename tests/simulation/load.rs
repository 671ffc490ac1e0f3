//! What clients do: they give and take messages, and ask for leases and tasks, at any moment.
//!
//! 1. Whom they ask is chosen among the processes that live; what they ask reaches a stopped one when it goes on.
//!
//! Not here: faults (`faults.rs`), how a process carries it out (`messages.rs` and its siblings).

use crate::clock::{MS, SECOND, Time};
use crate::network::News;
use crate::world::{Due, World};
use clawster::cluster::ids::{LeaseName, NodeId};
use std::time::Duration;

/// What the clients of a run do.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Load {
    /// They send and receive messages.
    pub(crate) messages: bool,
    /// How many messages the stream keeps.
    pub(crate) keep: u64,
    /// They ask for leases, by their node's life and by processes of their own.
    pub(crate) leases: bool,
    /// They submit tasks and work on them.
    pub(crate) tasks: bool,
    /// How many hosts without a running node beat by a timer.
    pub(crate) timers: usize,
}

/// What one client wants of one process.
#[derive(Debug, Clone)]
pub(crate) enum Wish {
    Give(u64, Option<NodeId>),
    Receive(usize, bool),
    AcknowledgeLate,
    Lease(LeaseName, Duration, Time),
    Once(Vec<String>),
    Submit(usize),
    Claim,
    Change(bool),
    List,
}

impl World {
    /// A client does something; the next one follows.
    pub(crate) fn load(&mut self) {
        let calm = self.calm();
        let pause =
            if self.rng.chance(300) && !calm { self.rng.range(0, 20 * MS) } else { self.rng.range(0, 600 * MS) };
        self.later(self.now + pause, Due::Load);
        let alive: Vec<usize> = (0..self.processes.len()).filter(|pid| self.processes[*pid].alive).collect();
        if alive.is_empty() {
            return;
        }
        if calm && self.setup.load.messages {
            for pid in alive.clone() {
                self.later(self.now, Due::Deliver(pid, None, News::Wish(Wish::Receive(100, true))));
            }
        }
        let pid = alive[self.rng.below(alive.len())];
        if self.setup.load.messages {
            let wish = self.wish_for_messages(calm);
            self.later(self.now, Due::Deliver(pid, None, News::Wish(wish)));
        }
        if self.setup.load.leases && self.rng.chance(300) {
            let wish = self.wish_for_leases();
            self.later(self.now, Due::Deliver(pid, None, News::Wish(wish)));
        }
        if self.setup.load.tasks {
            let wish = self.wish_for_tasks(calm);
            self.later(self.now, Due::Deliver(pid, None, News::Wish(wish)));
        }
    }

    fn wish_for_leases(&mut self) -> Wish {
        if self.rng.chance(250) {
            let key = self.rng.range(0, 40);
            return Wish::Once(vec![format!("key{key}"), format!("key{}", key + 1)]);
        }
        // Some names are wanted by processes of their own, too.
        let name = LeaseName::new(format!("l{}", self.rng.below(4))).expect("a name");
        let ttl = Duration::from_millis(self.rng.range(500, 8000));
        let wait = if self.rng.chance(300) { 0 } else { self.rng.range(SECOND, 20 * SECOND) };
        Wish::Lease(name, ttl, wait)
    }

    fn wish_for_tasks(&mut self, calm: bool) -> Wish {
        match self.rng.below(12) {
            0..=2 if !calm => Wish::Submit(1 + self.rng.below(4)),
            3 if !calm => Wish::Change(self.rng.chance(500)),
            4 if self.healed.is_none_or(|at| self.now < at + 15 * SECOND) => Wish::List,
            _ => Wish::Claim,
        }
    }

    fn wish_for_messages(&mut self, calm: bool) -> Wish {
        match self.rng.below(10) {
            0..=3 if !calm => {
                let count = match self.rng.below(12) {
                    0 => self.rng.range(60, 140),
                    _ => self.rng.range(1, 4),
                };
                let to = self.rng.below(self.hosts.len());
                let to = self.rng.chance(200).then(|| self.hosts[to].id.clone());
                Wish::Give(count, to)
            }
            4 => Wish::AcknowledgeLate,
            5 => Wish::Receive(self.rng.below(4), false),
            6 => Wish::Receive(100, false),
            _ => Wish::Receive(if self.rng.chance(500) { 100 } else { 10 }, true),
        }
    }

    pub(crate) fn fulfil(&mut self, pid: usize, wish: Wish) {
        match wish {
            Wish::Give(count, to) => self.give_messages(pid, count, to.as_ref()),
            Wish::Receive(limit, acknowledges) => self.receive(pid, limit, acknowledges),
            Wish::AcknowledgeLate => self.acknowledge_late(pid),
            Wish::Lease(name, ttl, wait) => self.want_lease(pid, name, ttl, wait),
            Wish::Once(keys) => self.want_once(pid, keys),
            Wish::Submit(count) => self.submit(pid, count),
            Wish::Claim => self.claim(pid),
            Wish::Change(redrive) => self.change_task(pid, redrive),
            Wish::List => self.list_tasks(pid),
        }
    }
}
