//! What clients do: they give and take messages, and ask for leases and tasks, at any moment.
//!
//! 1. Whom they ask is chosen among the processes that live; what they ask reaches a stopped one when it goes on.
//!
//! Not here: faults (`faults.rs`), how a process carries it out (`messages.rs` and its siblings).

use crate::clock::{MS, SECOND};
use crate::network::News;
use crate::world::{Due, World};
use clawster::cluster::ids::NodeId;

/// What the clients of a run do.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Load {
    /// They send and receive messages.
    pub(crate) messages: bool,
    /// How many messages the stream keeps.
    pub(crate) keep: u64,
}

/// What one client wants of one process.
#[derive(Debug, Clone)]
pub(crate) enum Wish {
    Give(u64, Option<NodeId>),
    Receive(usize, bool),
    AcknowledgeLate,
}

impl World {
    /// A client does something; the next one follows.
    pub(crate) fn load(&mut self) {
        let calm = self.now > self.faults_until + 10 * SECOND;
        let pause = if self.rng.chance(300) { self.rng.range(0, 20 * MS) } else { self.rng.range(0, 600 * MS) };
        self.later(self.now + pause, Due::Load);
        let alive: Vec<usize> = (0..self.processes.len()).filter(|pid| self.processes[*pid].alive).collect();
        if alive.is_empty() {
            return;
        }
        let pid = alive[self.rng.below(alive.len())];
        if self.setup.load.messages {
            let wish = self.wish_for_messages(calm);
            self.later(self.now, Due::Deliver(pid, None, News::Wish(wish)));
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
        }
    }
}
