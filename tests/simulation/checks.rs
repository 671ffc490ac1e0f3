//! The invariants, looked at after every step.
//!
//! 1. E1: at no true instant two processes lead (mode `exclusive`). A process leads from a step until a moment of its own
//!    clock, so whoever begins to lead while another still does is seen at that step.
//! 2. E2: a term is granted once, terms only rise, and nobody leads under a lower term than was led under before.
//! 3. M1: events have one order without holes, and every process reads the same.
//! 4. M2: a process that only Redis kept from beating is never declared dead.
//! 5. M3: a life belongs to one process.
//! 6. H1: the beats of a life are numbered without a hole, and none is due after its answer.

use crate::clock::SECOND;
use crate::oneshot::TIMERS;
use crate::world::World;
use clawster::cluster::event::{ClusterEvent, ClusterFact, LeftReason};
use clawster::cluster::node::{Beaten, Standing};
use clawster::cluster::protocol::{Call, DataSet, Instance, JoinReply, Reply};
use clawster::cluster::settings::LeaderMode;
use std::collections::{BTreeMap, BTreeSet};

pub(crate) struct Checks {
    exclusive: bool,
    /// What was found; the first one ends a run.
    pub(crate) violations: Vec<String>,
    /// For controls: a leader that does not look at its deadline.
    pub(crate) ignores_deadline: bool,
    /// A server came back without its last events: readers may have read what did not happen.
    pub(crate) tail_lost: bool,
    granted: u64,
    led: u64,
    /// Events as the cluster's order has them, without those that a server forgot.
    events: BTreeMap<u64, ClusterEvent>,
    starts: BTreeSet<u64>,
    reads: BTreeMap<usize, Vec<ClusterEvent>>,
    lives: BTreeMap<(String, u64), usize>,
    /// The number of the last beat of each life.
    beats: BTreeMap<(String, u64), u64>,
}

impl Checks {
    pub(crate) fn new(mode: LeaderMode) -> Self {
        Self {
            exclusive: mode == LeaderMode::Exclusive,
            violations: Vec::new(),
            ignores_deadline: false,
            tail_lost: false,
            granted: 0,
            led: 0,
            events: BTreeMap::new(),
            starts: BTreeSet::new(),
            reads: BTreeMap::new(),
            lives: BTreeMap::new(),
            beats: BTreeMap::new(),
        }
    }

    pub(crate) fn violated(&mut self, what: String) {
        self.violations.push(what);
    }

    /// A server made a transition.
    pub(crate) fn applied(&mut self, call: &Call, reply: &Reply) {
        match reply {
            Reply::Tick(tick) => self.data_set(&tick.data),
            Reply::View(view) => self.data_set(&view.data),
            Reply::Join(join) => {
                if let JoinReply::Joined { data, .. } = &**join {
                    self.data_set(data);
                }
            }
            Reply::Campaign(campaign) => {
                if let Some(term) = campaign.granted {
                    if term.0 <= self.granted {
                        self.violated(format!("E2: term {term} granted after {}: {call:?}", self.granted));
                    }
                    self.granted = self.granted.max(term.0);
                }
            }
            _ => {}
        }
    }

    pub(crate) fn data_set(&mut self, data: &DataSet) {
        self.starts.insert(data.event_start.0);
    }

    /// Whether this is the number of the next event.
    pub(crate) fn is_next(&self, next: u64) -> bool {
        self.events.last_key_value().is_none_or(|(before, _)| self.follows(*before, next))
    }

    fn follows(&self, before: u64, next: u64) -> bool {
        next == before + 1 || self.starts.contains(&(next - 1))
    }

    /// A process's heartbeat was taken.
    pub(crate) fn beaten(&mut self, pid: usize, beaten: &Beaten) {
        let last = self.beats.entry((beaten.instance.node_id.to_string(), beaten.instance.incarnation.0)).or_default();
        *last += 1;
        if beaten.number != *last || beaten.delay < beaten.round_trip {
            let what = format!("H1: p{pid} tells of beat {beaten:?}, {last} is next");
            self.violated(what);
        }
    }

    /// A process was told that it is a member.
    pub(crate) fn admitted(&mut self, pid: usize, instance: &Instance) {
        let owner = *self.lives.entry((instance.node_id.to_string(), instance.incarnation.0)).or_insert(pid);
        if owner != pid {
            self.violated(format!("M3: {instance:?} was given to p{owner} and p{pid}"));
        }
    }

    /// A process read an event.
    pub(crate) fn read(&mut self, pid: usize, event: &ClusterEvent) {
        let before = self.reads.get(&pid).and_then(|all| all.last()).map(|e| e.seq.0);
        if before.is_some_and(|before| !self.follows(before, event.seq.0)) {
            self.violated(format!("M1: p{pid} reads {} after {before:?}", event.seq));
        }
        self.reads.entry(pid).or_default().push(event.clone());
    }

    /// A server forgot events behind `last`: what they were is open again.
    pub(crate) fn forgotten(&mut self, last: u64) {
        self.events.split_off(&(last + 1));
    }

    /// At the end: what everybody read is what the cluster's order has. Between two numbers that do not follow each other
    /// a reader reported a gap.
    pub(crate) fn one_order(&mut self) {
        let mut found = Vec::new();
        for (pid, read) in &self.reads {
            for event in read {
                if self.events.get(&event.seq.0).is_some_and(|e| e != event) {
                    found.push(format!(
                        "M1: p{pid} read {event:?}, the cluster's order has {:?}",
                        self.events.get(&event.seq.0)
                    ));
                }
            }
        }
        self.violations.extend(found);
    }
}

impl World {
    /// Who leads at this instant.
    pub(crate) fn leaders(&self) -> Vec<usize> {
        let leads = |pid: &usize| {
            let held = self.processes[*pid].alive && self.processes[*pid].node.leadership().is_some();
            self.leads(*pid) || (self.checks.ignores_deadline && held)
        };
        let timers = (0..self.timers.len()).filter(|at| self.timer_leads(*at)).map(|at| TIMERS + at);
        (0..self.processes.len()).filter(leads).chain(timers).collect()
    }

    pub(crate) fn check_leaders(&mut self) {
        let leaders = self.leaders();
        if leaders.len() > 1 && self.checks.exclusive {
            self.checks.violated(format!("E1: {leaders:?} lead at the same time"));
        }
        if let [leader] = leaders[..] {
            let term = match leader.checked_sub(TIMERS) {
                Some(at) => self.timer_term(at).0,
                None => self.processes[leader].node.leadership().map_or(0, |l| l.term.0),
            };
            if term < self.checks.led && self.checks.exclusive {
                self.checks.violated(format!("E2: p{leader} leads under {term} after {}", self.checks.led));
            }
            self.checks.led = self.checks.led.max(term);
        }
    }

    /// New events of a server.
    pub(crate) fn check_events(&mut self, events: &[ClusterEvent]) {
        for event in events {
            let before = self.checks.events.last_key_value().map(|(seq, _)| *seq);
            // Whether a new data set began here is known once its first answer is seen, which is the same transition.
            if before.is_some_and(|before| !self.checks.follows(before, event.seq.0)) {
                self.checks.violated(format!("M1: event {} after {before:?}", event.seq));
            }
            self.checks.events.insert(event.seq.0, event.clone());
            if let ClusterFact::NodeLeft { incarnation, reason } = &event.fact
                && matches!(reason, LeftReason::HeartbeatTimeout | LeftReason::ProcessDied)
            {
                let instance = Instance { node_id: event.node_id.clone(), incarnation: *incarnation };
                self.check_declared_dead(&instance, *reason);
            }
        }
    }

    fn check_declared_dead(&mut self, instance: &Instance, reason: LeftReason) {
        let excuse = 2 * self.ttl() + 10 * SECOND;
        for pid in 0..self.processes.len() {
            let process = &self.processes[pid];
            let is = process.alive && *process.node.standing() == Standing::Member(instance.clone());
            if is && self.now > process.hurt.max(self.lossy_at) + excuse {
                let what = format!("M2: p{pid} {instance:?} lives, and was declared dead ({reason:?})");
                self.checks.violated(what);
            }
        }
    }
}
