//! The report about a window of history, as clients see it: part of `distributed.get_history`, and `clawster history
//! --json`.
//!
//! 1. Lists hold only the newest entries, up to the number that was asked for; the counts beside them include all entries.
//! 2. Spans lie within the window: a span that begins or ends with the window may continue outside it.
//!
//! Not here: how the report is computed (`crate::cluster::history::report`), single heartbeats (`history.rs`).

use crate::cluster::event::{ElectedReason, LostReason};
use crate::cluster::history::Histogram;
use crate::cluster::history::report::{self, Gone, ReignEnd, Standing, Vacancy};
use crate::cluster::time::{ServerTime, millis};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The maximum number of entries in each list of a node's answer.
pub const FEW: usize = 100;

/// The report about a window of history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HistoryReport {
    /// The start of the window, in milliseconds of the Redis server's clock.
    pub from_ms: u64,
    /// The end of the window, which is now.
    pub to_ms: u64,
    /// The parts of the window without recorded events; there, only heartbeats are known.
    pub unrecorded: Vec<Span>,
    /// The time of the oldest recorded heartbeat in the window; null: there is none.
    pub beats_since_ms: Option<u64>,
    /// When the cluster started over because Redis had lost its data.
    pub data_lost_at_ms: Vec<u64>,
    /// The maximum by which the Redis server's clock was set back; times near that are not exact. 0: it was not set back.
    pub set_back_ms: u64,
    /// The nodes that were members at some time within the window, by id.
    pub nodes: Vec<NodeHistory>,
    /// The leaders in order of time.
    pub reigns: Vec<LeaderTerm>,
    /// The changes of leader in order of time.
    pub failovers: Vec<Failover>,
    /// The number of all changes of leader.
    pub failover_count: u64,
    /// Since when there has been no leader; null: there is one, or there never was one.
    pub leaderless_since_ms: Option<u64>,
}

/// A span of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Span {
    /// The start.
    pub from_ms: u64,
    /// The end.
    pub to_ms: u64,
}

/// The history of one node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NodeHistory {
    /// The id of the node.
    pub node_id: String,
    /// The display name of the node; its id if it has none.
    pub name: String,
    /// The status of the node at the end of the window.
    pub status: Standing,
    /// The fraction (0 to 1) of the window, since the node first joined in it, during which it was online. Time after a
    /// regular leave does not count. Null: no time is left to count.
    pub availability: Option<f64>,
    /// How long the node was online.
    pub online_ms: u64,
    /// How long the node was down: offline without having left.
    pub down_ms: u64,
    /// The spans in which the node was online.
    pub online: Vec<Span>,
    /// The spans in which the node was away after having been online.
    pub away: Vec<Absence>,
    /// The number of all times that the node was away.
    pub away_count: u64,
    /// How often the node was down and came back within five minutes.
    pub flaps: u64,
    /// The spans in which heartbeats are missing although the node was a member.
    pub gaps: Vec<Gap>,
    /// The number of those gaps, at least.
    pub gap_count: u64,
    /// The number of recorded heartbeats, including up to ten minutes before the window.
    pub beats: u64,
    /// The number of heartbeats that needed more than one attempt.
    pub retried: u64,
    /// The delay between when heartbeats were due and when they were answered; null: none is recorded.
    pub delay_ms: Option<Percentiles>,
    /// The round trips of heartbeats; null: none is recorded.
    pub round_trip_ms: Option<Percentiles>,
    /// The versions of clawster that the node ran, newest last.
    pub versions: Vec<String>,
}

/// A span in which a node was not a live member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Absence {
    /// When the node went away.
    pub from_ms: u64,
    /// When the node came back, or the end of the window.
    pub to_ms: u64,
    /// Why the node was away.
    pub reason: Gone,
    /// Whether the node came back at the end of the span.
    pub back: bool,
    /// Whether the node was down and came back within five minutes.
    pub flap: bool,
}

/// A span with missing heartbeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Gap {
    /// The heartbeat before the gap, or the start of the window.
    pub from_ms: u64,
    /// The heartbeat after the gap, or the end of the window.
    pub to_ms: u64,
    /// The approximate number of missing heartbeats.
    pub missed: u64,
}

/// Percentiles of durations, in milliseconds, accurate to 10 %.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Percentiles {
    /// The median.
    pub p50: f64,
    /// The 95th percentile.
    pub p95: f64,
    /// The 99th percentile.
    pub p99: f64,
    /// The maximum.
    pub max: f64,
}

/// The time of one leader in one term.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Reign")]
pub struct LeaderTerm {
    /// The node id of the leader.
    pub node_id: String,
    /// The term; null: unknown, as only the fact that this node led is recorded.
    pub term: Option<u64>,
    /// The start of leadership.
    pub from_ms: u64,
    /// The end of leadership; with `followed`, the last known heartbeat as leader, or the next election.
    pub to_ms: u64,
    /// How leadership ended.
    pub end: ReignEnded,
    /// Why the leader gave leadership up; null if it did not.
    pub reason: Option<LostReason>,
}

/// How the time of a leader ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReignEnded {
    /// It still leads.
    Leads,
    /// The leader gave leadership up at `to_ms`.
    Lost,
    /// Another leader was elected; the exact end of leadership is unknown.
    Followed,
    /// The leader went away, and no other leader was elected.
    Gone,
    /// What came next is unknown.
    Unknown,
}

/// A change of the leader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Failover {
    /// When the new leader was elected.
    pub at_ms: u64,
    /// The node id of the new leader.
    pub leader_id: String,
    /// The term of the new leader.
    pub term: u64,
    /// The node id of the previous leader.
    pub previous_leader_id: String,
    /// Why there was an election.
    pub reason: ElectedReason,
    /// Whether the change was requested, or the old leader left.
    pub planned: bool,
    /// How long there was no leader; null: it is not recorded when the old leader stopped.
    pub vacant_ms: Option<u64>,
    /// The last sign that the old leader was leading: its last recorded heartbeat as leader, or its election if that was
    /// just before. Null: none is recorded.
    pub last_sign_ms: Option<u64>,
    /// The maximum time without a leader, from that sign to the election. It equals `vacant_ms` if that is known. Null:
    /// neither is known.
    pub vacant_at_most_ms: Option<u64>,
}

impl HistoryReport {
    /// Converts a report. Each list gets at most `most` entries, except the list of nodes.
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
            leaderless_since_ms: report.leaderless_since.map(|at| at.0),
        }
    }
}

impl NodeHistory {
    fn new(node: &report::NodeReport, most: usize) -> Self {
        Self {
            node_id: node.node_id.as_str().to_owned(),
            name: node.name.clone(),
            status: node.now,
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
            reason,
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
        Self {
            at_ms: change.at.0,
            leader_id: change.node_id.as_str().to_owned(),
            term: change.term.0,
            previous_leader_id: change.previous.as_str().to_owned(),
            reason: change.reason,
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
        assert_eq!((node.delay_ms, node.status), (None, Standing::Offline));
    }

    #[test]
    fn percentiles_never_pass_the_longest() {
        let mut histogram = Histogram::default();
        histogram.add(Duration::from_micros(1_010));
        let all = Percentiles::of(&histogram, Some(Duration::from_micros(1_010))).expect("one");
        assert_eq!(all, Percentiles { p50: 1.0, p95: 1.0, p99: 1.0, max: 1.0 });
    }
}
