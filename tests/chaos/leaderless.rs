//! How long nobody led, per kind of fault, and the bound that is promised for it.
//!
//! A bound follows from the settings: see [`bound`]. On top of it comes what a busy host takes: [`SLACK`], and the times in which it
//! let no process run.
//!
//! Not here: whether two led (`checkers/roles.rs`).

use crate::faults::{Hold, Kind};
use crate::history::{Applied, History};
use crate::plan::{Plan, Settings, Style};
use std::collections::BTreeMap;
use std::time::Duration;
use testkit::Stamp;

/// What connecting, registering, and being seen by a sample may take.
pub const SLACK: Duration = Duration::from_millis(1_000);

/// One measured time.
#[derive(Debug, Clone)]
pub struct Row {
    /// What happened.
    pub what: String,
    /// How long nobody led.
    pub time: Duration,
    /// What is promised.
    pub bound: Duration,
}

/// How long nobody may lead when only this happened, and the leader was hit (or Redis), for `lasts`.
///
/// With the grace G and the lease L: the candidates add 5 % on their own clocks, look four times a grace, and stand aside for
/// those before them for up to half a grace.
/// - A leader that is killed, or whose connections are closed: G × 1.05 + G / 4 + G / 2, but a new process of the same id waits
///   for the same.
/// - One that is stopped or cut off keeps its connection at Redis: it goes on under its term when it comes back within L, and is
///   replaced at the end of L × 1.05 otherwise; a look that was lost costs a further G.
/// - Redis that stands still takes the leader with it after G, and it goes on when Redis does: lasts + G. When candidates come
///   first, they must have seen the record unchanged for L × 1.05 themselves.
/// - A restart, a loss of data: as before, and then the server process must have been seen for G × 1.05; after a promotion nobody
///   is granted anything for L × 1.05.
/// - Polite ends, drains, handovers: what the leader needs to stop and release, G / 2.
pub fn bound(kind: Kind, lasts: Duration, settings: Settings) -> Duration {
    let (grace, lease) = (settings.grace().mul_f64(1.05), settings.lease().mul_f64(1.05));
    let look = settings.grace().mul_f64(0.75);
    match kind {
        Kind::Kill | Kind::Cut | Kind::Reconfigure => grace + look,
        Kind::Impostor | Kind::ForcedImpostor => 2 * (grace + look),
        Kind::Stop | Kind::Hole | Kind::HoleUp | Kind::HoleDown => lasts.min(lease) + grace + look,
        Kind::Delay | Kind::Throttle | Kind::LostReplies => lasts.min(lease) + 2 * (grace + look),
        Kind::RedisStop | Kind::RedisSleep | Kind::RedisPause | Kind::FullRedis => lasts + lease + grace,
        Kind::RedisRestart | Kind::LostTail | Kind::EmptyRestart | Kind::Flush => lasts + lease + grace + look,
        Kind::Promote | Kind::StalePromote => lasts + lease + lease + grace,
        Kind::RedisClock | Kind::NodeClock | Kind::FullDisk => lease + grace,
        Kind::Rename | Kind::Drain | Kind::Leave | Kind::Restart | Kind::Handover | Kind::OtherVersion => grace + look,
        Kind::WrapperKill | Kind::WrapperStop | Kind::WrapperHole => Duration::ZERO,
    }
}

/// The times without a leader of a run: one per fault where they come one at a time, else one after the last of them.
pub fn rows(plan: &Plan, history: &History, calm: Stamp) -> Vec<Row> {
    let mut sightings: Vec<Stamp> =
        history.samples().iter().filter(|sample| sample.leads).map(|sample| sample.answered).collect();
    sightings.sort();
    let applied = history.applied();
    if plan.style == Style::Storm {
        let next = sightings.iter().find(|at| **at >= calm);
        let worst =
            applied.iter().map(|a| bound(a.fault.kind, Duration::ZERO, plan.settings())).max().unwrap_or_default();
        let time = next.map_or(Duration::from_secs(999), |next| *next - calm);
        return vec![Row { what: "a mix, after its last fault".to_owned(), time, bound: worst }];
    }
    let stalls = history.stalls();
    let lost = |from: Stamp, to: Stamp| -> Duration {
        stalls.iter().filter(|(begun, ended)| *begun < to && from < *ended).map(|(begun, ended)| *ended - *begun).sum()
    };
    let mut rows = Vec::new();
    for (at, a) in applied.iter().enumerate().filter(|(_, a)| a.skipped.is_none()) {
        let hit = a.led || a.fault.kind.hold() == Hold::Redis || a.fault.kind == Kind::Handover;
        if !hit || plan.nodes.len() < 2 {
            continue;
        }
        let until = applied.get(at + 1).map_or(calm, |next| next.begun);
        if let Some((from, to)) = longest(&sightings, a.begun, until) {
            let lasts = a.ended - a.begun;
            let allowed = bound(a.fault.kind, lasts, plan.settings()) + lost(from, to);
            rows.push(Row { what: name(a), time: to - from, bound: allowed });
        }
    }
    rows
}

fn name(a: &Applied) -> String {
    let of = if a.fault.kind.hold() == Hold::Redis || a.fault.kind == Kind::Handover { "" } else { " of the leader" };
    format!("{}{of}", a.fault.kind.name())
}

/// The longest time between two sightings of a leader that begins or lies in this time.
fn longest(sightings: &[Stamp], begun: Stamp, until: Stamp) -> Option<(Stamp, Stamp)> {
    let first = sightings.partition_point(|at| *at < begun).saturating_sub(1);
    let pairs = sightings[first..].windows(2).map(|pair| (pair[0], pair[1])).take_while(|(from, _)| *from < until);
    pairs.max_by_key(|(from, to)| *to - *from)
}

/// All measured times of a kind.
#[derive(Debug, Default)]
pub struct Table {
    rows: BTreeMap<String, Vec<(Duration, Duration)>>,
}

impl Table {
    /// Adds a run's times.
    pub fn add(&mut self, rows: Vec<Row>) {
        for row in rows {
            self.rows.entry(row.what).or_default().push((row.time, row.bound));
        }
    }

    /// Per kind: its name, how many, the shortest, median and longest time, the widest bound, and how many were over theirs.
    pub fn lines(&self) -> Vec<(String, usize, f64, f64, f64, f64, usize)> {
        let line = |(what, times): (&String, &Vec<(Duration, Duration)>)| {
            let mut sorted: Vec<f64> = times.iter().map(|(time, _)| time.as_secs_f64()).collect();
            sorted.sort_by(f64::total_cmp);
            let bound = times.iter().map(|(_, bound)| bound.as_secs_f64()).fold(0.0, f64::max);
            let over = times.iter().filter(|(time, bound)| *time > *bound + SLACK).count();
            (what.clone(), sorted.len(), sorted[0], sorted[sorted.len() / 2], sorted[sorted.len() - 1], bound, over)
        };
        self.rows.iter().map(line).collect()
    }
}
