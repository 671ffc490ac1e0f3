//! What a run wrote down: the raw material of the checkers.
//!
//! 1. Everything is stamped with one clock of this host, before a question is written and after its answer was read.
//! 2. What no answer told is kept as unknown, never guessed.
//!
//! Not here: judging it (`checkers/`).

use crate::faults::{Fault, Hold, Kind};
use crate::plan::Plan;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use testkit::Stamp;
use testkit::checker::Sample;

/// A fault as it was carried out.
#[derive(Debug, Clone)]
pub struct Applied {
    pub fault: Fault,
    /// The node (or wrapper) that it hit.
    pub place: Option<usize>,
    /// Whether that node was seen to lead just before.
    pub led: bool,
    pub begun: Stamp,
    pub ended: Stamp,
    /// Why it was not carried out.
    pub skipped: Option<String>,
}

/// A message that somebody sent.
#[derive(Debug, Clone)]
pub struct Sent {
    pub id: String,
    /// The places it was meant for; nobody named: all others.
    pub to: Option<Vec<usize>>,
    /// Before the first attempt.
    pub at: Stamp,
    /// When its acceptance was read.
    pub accepted: Option<Stamp>,
}

/// A message that was handed out.
#[derive(Debug, Clone)]
pub struct Delivery {
    pub seq: u64,
    pub id: String,
    /// Before the call was written whose answer it came in.
    pub asked: Stamp,
    pub at: Stamp,
}

/// All that one receiver saw.
#[derive(Debug, Clone, Default)]
pub struct Received {
    pub deliveries: Vec<Delivery>,
    /// Cursors whose acknowledgement was answered, and when.
    pub acked: Vec<(u64, Stamp)>,
    /// Ranges that it was told it lost, and when.
    pub gaps: Vec<(u64, u64, Stamp)>,
}

/// What somebody asked of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseAsk {
    Acquire { ttl_ms: u64 },
    Renew { token: u64, ttl_ms: u64 },
    Check { token: u64 },
    Release { token: u64 },
}

/// What was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseAnswer {
    /// A grant, with its token.
    Granted(u64),
    /// Renewed, released, valid.
    Yes,
    /// Refused, stale, not valid.
    No,
    /// An error or no answer: it may have been done, now or later.
    Unknown,
}

/// One call that concerned a lease.
#[derive(Debug, Clone)]
pub struct LeaseOp {
    pub place: usize,
    pub instance: u64,
    pub name: String,
    pub ask: LeaseAsk,
    pub answer: LeaseAnswer,
    pub sent: Stamp,
    pub answered: Stamp,
}

/// A write to a thing that fences: it takes a token only when it has seen no higher one.
#[derive(Debug, Clone)]
pub struct FencedWrite {
    pub name: String,
    pub token: u64,
    pub taken: bool,
    pub at: Stamp,
}

/// One call of `run_once`.
#[derive(Debug, Clone)]
pub struct OnceOp {
    pub place: usize,
    pub key: String,
    pub granted: Option<bool>,
    pub sent: Stamp,
    pub answered: Stamp,
}

/// What happened to a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskStep {
    /// Accepted (or, when the answer says duplicate, accepted before).
    Submitted,
    Claimed {
        token: u64,
        attempt: u64,
        timeout_ms: u64,
    },
    /// The completion was accepted.
    Completed {
        token: u64,
    },
    /// The failure was accepted.
    Failed {
        token: u64,
    },
    /// What `get_task` said at the end.
    Found {
        state: String,
    },
    /// `get_task` knew no such task at the end.
    Missing,
}

/// One step of a task.
#[derive(Debug, Clone)]
pub struct TaskOp {
    pub task: String,
    pub place: usize,
    pub instance: u64,
    pub step: TaskStep,
    pub sent: Stamp,
    pub answered: Stamp,
}

/// An event as a subscriber read it.
#[derive(Debug, Clone)]
pub struct Told {
    pub at: Stamp,
    pub event: Value,
}

/// The history.
#[derive(Debug, Default)]
pub struct History {
    samples: Mutex<Vec<Sample>>,
    applied: Mutex<Vec<Applied>>,
    sent: Mutex<BTreeMap<usize, Vec<Sent>>>,
    received: Mutex<BTreeMap<usize, Received>>,
    leases: Mutex<Vec<LeaseOp>>,
    writes: Mutex<Vec<FencedWrite>>,
    once: Mutex<Vec<OnceOp>>,
    tasks: Mutex<Vec<TaskOp>>,
    events: Mutex<BTreeMap<String, Vec<Told>>>,
    /// Times in which this host did not let its processes run.
    stalls: Mutex<Vec<(Stamp, Stamp)>>,
    /// What a fault or a worker saw that must never be.
    seen: Mutex<Vec<String>>,
    /// The same, unless Redis lost something in that time.
    seen_unless_lost: Mutex<Vec<(String, Stamp, Stamp)>>,
    /// What the run itself could not do.
    troubles: Mutex<Vec<String>>,
}

macro_rules! parts {
    ($($name:ident: $type:ty),+ $(,)?) => {
        impl History {
            $(
                /// Opens this part of the history.
                pub fn $name(&self) -> MutexGuard<'_, $type> {
                    self.$name.lock().unwrap_or_else(PoisonError::into_inner)
                }
            )+
        }
    };
}

parts! {
    samples: Vec<Sample>,
    applied: Vec<Applied>,
    sent: BTreeMap<usize, Vec<Sent>>,
    received: BTreeMap<usize, Received>,
    leases: Vec<LeaseOp>,
    writes: Vec<FencedWrite>,
    once: Vec<OnceOp>,
    tasks: Vec<TaskOp>,
    events: BTreeMap<String, Vec<Told>>,
    stalls: Vec<(Stamp, Stamp)>,
    seen: Vec<String>,
    seen_unless_lost: Vec<(String, Stamp, Stamp)>,
    troubles: Vec<String>,
}

impl History {
    /// The places at which the other version ran at some time.
    pub fn other_versions(&self, plan: &Plan) -> BTreeSet<usize> {
        let began = (0..plan.other.len()).filter(|place| plan.other[*place]);
        let applied = self.applied();
        let changed =
            applied.iter().filter(|applied| applied.fault.kind == Kind::OtherVersion && applied.skipped.is_none());
        began.chain(changed.filter_map(|applied| applied.place)).collect()
    }

    /// Times in which Redis may have lost something that it had acknowledged: from before the loss until the nodes know.
    pub fn losses(&self, settle: Stamp) -> Vec<(Stamp, Stamp)> {
        let applied = self.applied();
        let lost = applied.iter().filter(|a| a.skipped.is_none() && a.fault.kind.loses_data());
        lost.map(|a| (a.begun, a.ended + settle)).collect()
    }

    /// Whether the clock of Redis went back before all data was lost: only survivors who know the numbers of before keep them rising then.
    pub fn numbers_may_fall(&self) -> bool {
        let applied = self.applied();
        let mut done = applied.iter().filter(|applied| applied.skipped.is_none());
        let Some(back) = done.find(|a| a.fault.kind == Kind::RedisClock && a.fault.jump_us() < 0) else { return false };
        let lost_all = |a: &Applied| matches!(a.fault.kind, Kind::EmptyRestart | Kind::Flush) && a.ended > back.begun;
        applied.iter().any(|a| a.skipped.is_none() && lost_all(a))
    }

    /// Whether a fault of one of these kinds was carried out.
    pub fn had(&self, kinds: &[Kind]) -> bool {
        self.applied().iter().any(|a| a.skipped.is_none() && kinds.contains(&a.fault.kind))
    }

    /// Times in which something may have ended a node's life, or hidden it from Redis; with all of Redis's own troubles
    /// where `redis` says so. Each lasts until the node must have recovered.
    pub fn risks(&self, place: Option<usize>, redis: bool, settle: Stamp) -> Vec<(Stamp, Stamp)> {
        let applied = self.applied();
        let hits = |a: &&Applied| {
            let mine = a.place.is_none_or(|hit| place.is_none_or(|place| place == hit));
            match a.fault.kind.hold() {
                _ if a.skipped.is_some() => false,
                Hold::Wrapper => false,
                // Some nodes are cut off from the new primary: they go on talking to the old one.
                Hold::Redis => redis || matches!(a.fault.kind, Kind::Promote | Kind::StalePromote),
                _ => mine,
            }
        };
        let mut risks: Vec<(Stamp, Stamp)> = applied.iter().filter(hits).map(|a| (a.begun, a.ended + settle)).collect();
        risks.extend(self.stalls().iter().map(|(begun, ended)| (*begun, *ended + settle)));
        risks
    }
}

/// Whether a time lies in one of these, or touches it.
pub fn touches(times: &[(Stamp, Stamp)], begun: Stamp, ended: Stamp) -> bool {
    times.iter().any(|(from, to)| *from <= ended && begun <= *to)
}
