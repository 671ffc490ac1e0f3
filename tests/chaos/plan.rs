//! A schedule: what a run is made of, drawn from its seed.
//!
//! 1. The same seed and options give the same plan; the plan's faults can be replaced by a part of them.
//! 2. Faults that hold the same thing do not overlap in the plan, and in a solo plan none do.
//!
//! Not here: carrying it out (`run.rs`).

use crate::faults::{Fault, Hold, KINDS, Kind, Who};
use crate::numbers::Numbers;
use std::collections::HashMap;
use std::time::Duration;

/// Settings in seconds, as a node's file has them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    pub interval: f64,
    pub ttl: f64,
    pub lease: f64,
    pub grace: f64,
    pub fenced: bool,
}

impl Settings {
    /// What most runs use.
    pub const BRISK: Self = Self { interval: 0.5, ttl: 2.5, lease: 3.0, grace: 1.0, fenced: false };

    fn drawn(numbers: &mut Numbers, fenced: bool) -> Self {
        let interval = numbers.pick(&[0.25, 0.5, 0.7]);
        let lease = numbers.pick(&[2.4, 3.0, 4.0]);
        Self {
            interval,
            ttl: numbers.pick(&[2.5, 4.0]),
            lease,
            grace: numbers.pick(&[0.4_f64, 0.8, 1.0]).min(lease / 3.0),
            fenced,
        }
    }

    /// The lease.
    pub fn lease(&self) -> Duration {
        Duration::from_secs_f64(self.lease)
    }

    /// The presence grace.
    pub fn grace(&self) -> Duration {
        Duration::from_secs_f64(self.grace)
    }
}

/// How the faults of a run lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// One at a time, each after the cluster has settled: gives the table of times without a leader.
    Solo,
    /// Several at a time.
    Storm,
}

/// A run.
#[derive(Debug, Clone)]
pub struct Plan {
    pub seed: u64,
    pub style: Style,
    /// The files of the nodes, in the order of their start; the first one's settings become the cluster's.
    pub nodes: Vec<Settings>,
    /// Which nodes begin with the other version.
    pub other: Vec<bool>,
    pub wrappers: usize,
    /// Whether one-shot heartbeats and `work` run beside the nodes.
    pub extras: bool,
    pub faults: Vec<Fault>,
}

/// What may be chosen about plans.
#[derive(Debug, Clone, Default)]
pub struct Wishes {
    /// Nodes; drawn where there are none.
    pub nodes: Option<usize>,
    /// Faults of one run.
    pub faults: usize,
    /// Whether there is another version to mix in.
    pub other: bool,
    /// Kinds that are left out.
    pub without: Vec<Kind>,
    /// The only kinds, where there are any.
    pub only: Vec<Kind>,
    /// The style; drawn where there is none.
    pub style: Option<Style>,
}

impl Plan {
    /// Draws a plan.
    pub fn drawn(seed: u64, wishes: &Wishes) -> Self {
        let mut numbers = Numbers::new(seed, 1);
        let style = if numbers.chance(35) { Style::Solo } else { Style::Storm };
        let style = wishes.style.unwrap_or(style);
        let nodes = numbers.pick(&[1, 2, 3, 3, 3, 4, 5, 5, 7, 9]);
        let nodes = wishes.nodes.unwrap_or(nodes);
        let first = if numbers.chance(40) { Settings::BRISK } else { Settings::drawn(&mut numbers, false) };
        let mixed = numbers.chance(40);
        let fenced = numbers.chance(10);
        let settings: Vec<Settings> = (0..nodes)
            .map(|at| {
                let other_mode = numbers.chance(30);
                let own = Settings::drawn(&mut numbers, other_mode);
                if mixed && at > 0 { own } else { Settings { fenced: fenced && !mixed, ..first } }
            })
            .collect();
        let both = wishes.other && numbers.chance(40);
        let other: Vec<bool> = (0..nodes).map(|_| numbers.chance(50) && both).collect();
        let wrappers = if numbers.chance(60) { 3 } else { 0 };
        let extras = numbers.chance(40);
        let mut plan = Self { seed, style, nodes: settings, other, wrappers, extras, faults: Vec::new() };
        let promoting = numbers.chance(25);
        let allowed = |kind: Kind| {
            !wishes.without.contains(&kind)
                && (wishes.only.is_empty() || wishes.only.contains(&kind))
                && (kind != Kind::OtherVersion || wishes.other)
                && (kind != Kind::Reconfigure || mixed)
                && (!matches!(kind, Kind::Promote | Kind::StalePromote) || promoting || !wishes.only.is_empty())
                && (kind.hold() != Hold::Wrapper || wrappers > 0)
        };
        let kinds: Vec<Kind> = KINDS.iter().map(|row| row.0).filter(|kind| allowed(*kind)).collect();
        plan.draw_faults(&kinds, wishes.faults, &mut numbers);
        plan
    }

    fn draw_faults(&mut self, kinds: &[Kind], count: usize, numbers: &mut Numbers) {
        let weight = |kind: &Kind| KINDS.iter().find(|row| row.0 == *kind).map_or(0, |row| row.3);
        let total: u64 = kinds.iter().map(weight).sum();
        let (mut at, mut free): (u64, HashMap<(Hold, usize), u64>) = (500, HashMap::new());
        while self.faults.len() < count && total > 0 {
            let mut left = numbers.below(total);
            let kind = kinds.iter().find(|kind| {
                let found = left < weight(kind);
                left = left.saturating_sub(weight(kind));
                found
            });
            let mut fault = kind.expect("one is found").at(at, self.nodes.len(), self.wrappers, numbers);
            let place = match fault.who {
                Who::Place(place) => place,
                // Whoever leads may be any of them: it waits for the one that it meets when the time has come.
                Who::Leader => usize::MAX,
                Who::All => 0,
            };
            let busy = free.entry((fault.kind.hold(), place)).or_default();
            if fault.kind.hold() != Hold::Nothing {
                fault.at = fault.at.max(*busy);
                *busy = fault.at + fault.lasts + 300;
            }
            at = match self.style {
                Style::Solo => fault.at + fault.lasts + numbers.between(5_000, 7_000),
                Style::Storm => at + numbers.between(50, 900),
            };
            self.faults.push(fault);
        }
        self.faults.sort_by_key(|fault| fault.at);
    }

    /// Whether a replica of Redis is needed.
    pub fn has(&self, kinds: &[Kind]) -> bool {
        self.faults.iter().any(|fault| kinds.contains(&fault.kind))
    }

    /// The settings that hold in the cluster: those of the first node.
    pub fn settings(&self) -> Settings {
        self.nodes[0]
    }

    /// Whether nodes of two versions meet.
    pub fn mixes_versions(&self) -> bool {
        self.other.contains(&true) || self.has(&[Kind::OtherVersion])
    }

    /// Whether one leader at a time is promised.
    pub fn exclusive(&self) -> bool {
        self.nodes.iter().all(|node| !node.fenced) || (!self.nodes[0].fenced && !self.loses_data())
    }

    /// Whether Redis loses data in it.
    pub fn loses_data(&self) -> bool {
        self.faults.iter().any(|fault| fault.kind.loses_data())
    }

    /// One line about it.
    pub fn line(&self) -> String {
        let first = self.settings();
        let mixed = self.nodes.iter().any(|node| *node != first);
        format!(
            "seed {}: {} nodes{}{}, {:?}, {} wrappers{}, interval {} s, TTL {} s, lease {} s, grace {} s{}, {} faults",
            self.seed,
            self.nodes.len(),
            if mixed { " (mixed settings)" } else { "" },
            if self.mixes_versions() { " (two versions)" } else { "" },
            self.style,
            self.wrappers,
            if self.extras { ", one-shots" } else { "" },
            first.interval,
            first.ttl,
            first.lease,
            first.grace,
            if first.fenced { ", fenced" } else { "" },
            self.faults.len()
        )
    }

    /// The faults in their text form.
    pub fn faults_text(&self) -> String {
        self.faults.iter().map(Fault::to_string).collect::<Vec<_>>().join(",")
    }
}
