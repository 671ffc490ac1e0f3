//! What a window of history says, as clients see it: part of `distributed.get_history`, and `clawster history --json`.
//!
//! 1. Lists hold the newest entries only, as many as were asked for; the numbers beside them count all.
//! 2. Spans lie within the window: one that begins or ends with it may go on outside.
//!
//! Not here: how it is found out (`crate::cluster::history::report`), single heartbeats (`history.rs`).

use crate::cluster::event::{ElectedReason, LostReason};
use crate::cluster::history::Histogram;
use crate::cluster::history::report::{self, Gone, ReignEnd, Standing, Vacancy};
use crate::cluster::time::{ServerTime, millis};
use crate::rpc::wire::event::{ElectedWhy, LostWhy};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How many entries the lists of an answer of a node hold.
pub const FEW: usize = 100;

/// What a window of history says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HistoryReport {
    /// Where the window begins, in milliseconds of the Redis server's clock.
    pub from_ms: u64,
    /// Where it ends: the present.
    pub to_ms: u64,
    /// The parts of the window of which no events are kept; what happened there is known from heartbeats only.
    pub unrecorded: Vec<Span>,
    /// The oldest heartbeat that is recorded in the window; null: none is.
    pub beats_since_ms: Option<u64>,
    /// When the cluster began again because Redis had lost its data.
    pub data_lost_at_ms: Vec<u64>,
    /// By how much the Redis server's clock was set back, at most; times around that are not exact. 0: it was not.
    pub set_back_ms: u64,
    /// The nodes that were members at some time of the window, by id.
    pub nodes: Vec<NodeHistory>,
    /// Who led when, in the order of time.
    pub reigns: Vec<LeaderTerm>,
    /// The changes of the leader, in the order of time.
    pub failovers: Vec<Failover>,
    /// How many changes of the leader there were in all.
    pub failover_count: u64,
    /// Since when nobody leads; null: somebody does, or nobody ever did.
    pub leaderless_since_ms: Option<u64>,
}

/// A span of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Span {
    /// Its beginning.
    pub from_ms: u64,
    /// Its end.
    pub to_ms: u64,
}

/// What a node was like.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NodeHistory {
    /// Its id.
    pub node_id: String,
    /// Its name for people; the id where it has none.
    pub name: String,
    /// How it stands at the end of the window.
    pub status: StandingNow,
    /// Which share (0 to 1) of the time since it first was a live member in this window it was one. The time after a goodbye
    /// does not count; null: no time is left.
    pub availability: Option<f64>,
    /// How long it was a live member.
    pub online_ms: u64,
    /// How long it was down: gone without a goodbye.
    pub down_ms: u64,
    /// When it was a live member.
    pub online: Vec<Span>,
    /// When it was not, after it had been one.
    pub away: Vec<Absence>,
    /// How many times it was away.
    pub away_count: u64,
    /// How many times it was gone without a goodbye and back within five minutes.
    pub flaps: u64,
    /// Where heartbeats are missing although it was a member.
    pub gaps: Vec<Gap>,
    /// How many such gaps there are, at least.
    pub gap_count: u64,
    /// How many heartbeats are recorded; up to ten minutes before the window are counted with it.
    pub beats: u64,
    /// How many of them needed more than one attempt.
    pub retried: u64,
    /// How long after they were due heartbeats were answered; null: none is recorded.
    pub delay_ms: Option<Percentiles>,
    /// How long their round trips took; null: none is recorded.
    pub round_trip_ms: Option<Percentiles>,
    /// The versions of clawster that it ran, the newest last.
    pub versions: Vec<String>,
}

/// How a node stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StandingNow {
    /// It is a live member.
    Online,
    /// It is down.
    Offline,
    /// It said goodbye.
    Left,
}

/// A span in which a node was no live member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Absence {
    /// From when.
    pub from_ms: u64,
    /// Until when: its return, or the end of the window.
    pub to_ms: u64,
    /// Why it was gone.
    pub reason: GoneWhy,
    /// Whether it came back at the end of the span.
    pub back: bool,
    /// Whether it was gone without a goodbye and back within five minutes.
    pub flap: bool,
}

/// Why a node was gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GoneWhy {
    /// It said goodbye.
    Left,
    /// Its deadline passed.
    HeartbeatTimeout,
    /// Its process died.
    ProcessDied,
    /// Another process took its id over.
    Replaced,
    /// It is not heard of any more, and nobody was there to declare it dead.
    Silent,
    /// The event that would tell is not kept.
    Unknown,
}

/// Heartbeats that are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Gap {
    /// The heartbeat before it, or the beginning of the window.
    pub from_ms: u64,
    /// The heartbeat after it, or the end of the window.
    pub to_ms: u64,
    /// About how many are missing.
    pub missed: u64,
}

/// Durations in milliseconds that so many per cent do not exceed, at most 10 % off.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Percentiles {
    /// Half of them.
    pub p50: f64,
    /// 95 %.
    pub p95: f64,
    /// 99 %.
    pub p99: f64,
    /// All.
    pub max: f64,
}

/// The time of one leader under one term.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Reign")]
pub struct LeaderTerm {
    /// Who led.
    pub node_id: String,
    /// Under which term; null: the cluster told only who led before.
    pub term: Option<u64>,
    /// From when.
    pub from_ms: u64,
    /// Until when; with `followed`, the last heartbeat as the leader that is known, or the next election.
    pub to_ms: u64,
    /// How it ended.
    pub end: ReignEnded,
    /// Why the leader gave it up, where it did; else null.
    pub reason: Option<LostWhy>,
}

/// How a reign ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReignEnded {
    /// It goes on.
    Leads,
    /// The leader gave it up; `to_ms` is that instant.
    Lost,
    /// Another leader was elected; when this one's time ended is not known exactly.
    Followed,
    /// The leader was gone, and nobody followed.
    Gone,
    /// What came after is not known.
    Unknown,
}

/// A change of the leader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Failover {
    /// When the new leader was elected.
    pub at_ms: u64,
    /// Who leads since then.
    pub leader_id: String,
    /// Under which term.
    pub term: u64,
    /// Who led before.
    pub previous_leader_id: String,
    /// Why.
    pub reason: ElectedWhy,
    /// Whether somebody asked for it, or the old leader said goodbye.
    pub planned: bool,
    /// How long there was no leader, where the cluster told when the old one stopped; else null.
    pub vacant_ms: Option<u64>,
    /// The last sign of the old leader as the leader: its last recorded heartbeat, or its election where that was just before;
    /// null: none is recorded.
    pub last_sign_ms: Option<u64>,
    /// How long there was no leader at most: from that sign to the election. It equals `vacant_ms` where that is known; null:
    /// neither is.
    pub vacant_at_most_ms: Option<u64>,
}

impl HistoryReport {
    /// Converts a report; its lists get at most `most` entries each, but for the list of nodes.
    #[must_use]
    pub fn new(report: &report::Report, most: usize) -> Self {
        Self {
            from_ms: report.window.from.0,
            to_ms: report.window.to.0,
            unrecorded: newest(&report.unrecorded, most, |span| Span { from_ms: span.0.0, to_ms: span.1.0 }),
            beats_since_ms: report.beats_since.map(|at| at.0),
            data_lost_at_ms: newest(&report.data_lost, most, |at| at.0),
            set_back_ms: millis(report.set_back),
            nodes: report.nodes.iter().map(|node| NodeHistory::new(node, most)).collect(),
            reigns: newest(&report.reigns, most, LeaderTerm::from),
            failovers: newest(&report.failovers, most, Failover::from),
            failover_count: count(report.failovers.len()),
            leaderless_since_ms: report.leaderless_since().map(|at| at.0),
        }
    }
}

impl NodeHistory {
    fn new(node: &report::NodeReport, most: usize) -> Self {
        Self {
            node_id: node.node_id.as_str().to_owned(),
            name: node.name.clone(),
            status: match node.now {
                Standing::Online => StandingNow::Online,
                Standing::Offline => StandingNow::Offline,
                Standing::Left => StandingNow::Left,
            },
            availability: node.availability(),
            online_ms: millis(node.online_for()),
            down_ms: millis(node.down_for()),
            online: newest(&node.online, most, |stay| Span { from_ms: stay.from.0, to_ms: stay.to.0 }),
            away: newest(&node.away, most, Absence::from),
            away_count: count(node.away.len()),
            flaps: count(node.flaps()),
            gaps: newest(&node.gaps, most, |gap| Gap { from_ms: gap.from.0, to_ms: gap.to.0, missed: gap.missed }),
            gap_count: count(node.gaps.len()),
            beats: node.beats,
            retried: node.retried,
            delay_ms: Percentiles::of(&node.delays, Some(node.longest_delay)),
            round_trip_ms: Percentiles::of(&node.round_trips, None),
            versions: node.versions.clone(),
        }
    }
}

impl Percentiles {
    /// Those of a histogram, and the longest duration where it is known better; `None`: it holds none.
    fn of(histogram: &Histogram, longest: Option<Duration>) -> Option<Self> {
        let longest = longest.or(histogram.quantile(1.0)).unwrap_or_default();
        // To a tenth of a millisecond; the middle of a bucket may lie above the longest one.
        let round = |duration: Duration| (duration.as_secs_f64() * 10_000.0).round() / 10.0;
        let at = |share: f64| histogram.quantile(share).map(|duration| round(duration.min(longest)));
        Some(Self { p50: at(0.5)?, p95: at(0.95)?, p99: at(0.99)?, max: round(longest) })
    }
}

impl From<&report::Absence> for Absence {
    fn from(absence: &report::Absence) -> Self {
        let report::Absence { from: ServerTime(from_ms), to: ServerTime(to_ms), reason, back, flap } = *absence;
        let reason = match reason {
            Gone::Left => GoneWhy::Left,
            Gone::HeartbeatTimeout => GoneWhy::HeartbeatTimeout,
            Gone::ProcessDied => GoneWhy::ProcessDied,
            Gone::Replaced => GoneWhy::Replaced,
            Gone::Silent => GoneWhy::Silent,
            Gone::Unknown => GoneWhy::Unknown,
        };
        Self { from_ms, to_ms, reason, back, flap }
    }
}

impl From<&report::LeaderTerm> for LeaderTerm {
    fn from(reign: &report::LeaderTerm) -> Self {
        let (end, reason): (ReignEnded, Option<LostReason>) = match reign.end {
            ReignEnd::Leads => (ReignEnded::Leads, None),
            ReignEnd::Lost(reason) => (ReignEnded::Lost, Some(reason)),
            ReignEnd::Followed => (ReignEnded::Followed, None),
            ReignEnd::Gone => (ReignEnded::Gone, None),
            ReignEnd::Unknown => (ReignEnded::Unknown, None),
        };
        Self {
            node_id: reign.node_id.as_str().to_owned(),
            term: reign.term.map(|term| term.0),
            from_ms: reign.from.0,
            to_ms: reign.until.0,
            end,
            reason: reason.map(LostWhy::from),
        }
    }
}

impl From<&report::Failover> for Failover {
    fn from(change: &report::Failover) -> Self {
        let (vacant_ms, vacant_at_most_ms) = match change.vacancy() {
            Vacancy::Exactly(duration) => (Some(millis(duration)), Some(millis(duration))),
            Vacancy::AtMost(duration) => (None, Some(millis(duration))),
            Vacancy::Unknown => (None, None),
        };
        let reason: ElectedReason = change.reason;
        Self {
            at_ms: change.at.0,
            leader_id: change.node_id.as_str().to_owned(),
            term: change.term.0,
            previous_leader_id: change.previous.as_str().to_owned(),
            reason: reason.into(),
            planned: change.is_planned(),
            vacant_ms,
            last_sign_ms: change.last_sign.map(|at| at.0),
            vacant_at_most_ms,
        }
    }
}

fn newest<'a, T, U>(all: &'a [T], most: usize, convert: impl Fn(&'a T) -> U) -> Vec<U> {
    all.iter().skip(all.len().saturating_sub(most)).map(convert).collect()
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::event::{ClusterEvent, ClusterFact, LeftReason};
    use crate::cluster::history::report::{Evidence, Report, Window};
    use crate::cluster::ids::{EventSeq, Incarnation, NodeId};

    #[test]
    fn lists_are_cut_to_the_newest_and_counted_in_full() {
        let node_id = NodeId::new("a").expect("an id");
        let mut events = Vec::new();
        for instance in 0..10 {
            let (at, incarnation) = (instance * 2_000, Incarnation(instance));
            let joined = ClusterFact::NodeJoined { name: String::new(), incarnation, rejoined: instance > 0 };
            let left = ClusterFact::NodeLeft { incarnation, reason: LeftReason::ProcessDied };
            for (after, fact) in [(0, joined), (1_000, left)] {
                let (seq, at) = (EventSeq(events.len() as u64 + 1), ServerTime(at + after));
                events.push(ClusterEvent { seq, at, node_id: node_id.clone(), fact });
            }
        }
        let evidence = Evidence { summaries: &[], events: &events, members: None, leader: None, interval: None };
        let report = Report::of(Window { from: ServerTime(0), to: ServerTime(20_000) }, &evidence);
        let node = HistoryReport::new(&report, 3).nodes.remove(0);
        assert_eq!((node.away.len(), node.away_count, node.flaps), (3, 10, 9));
        assert_eq!((node.away[2].from_ms, node.online.len(), node.availability), (19_000, 3, Some(0.5)));
        assert_eq!((node.delay_ms, node.status), (None, StandingNow::Offline));
    }

    #[test]
    fn percentiles_never_pass_the_longest() {
        let mut histogram = Histogram::default();
        histogram.add(Duration::from_micros(1_010));
        let all = Percentiles::of(&histogram, Some(Duration::from_micros(1_010))).expect("one");
        assert_eq!(all, Percentiles { p50: 1.0, p95: 1.0, p99: 1.0, max: 1.0 });
    }
}
