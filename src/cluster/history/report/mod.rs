//! The report about a window of history: which nodes were members, when they were down, who led, and when there was no
//! leader.
//!
//! 1. A report is a function of its evidence; the order of the evidence does not matter.
//! 2. If events show when something happened, the report has that time. If only heartbeats do, it has the last known one,
//!    and says so: nothing is reported more exactly than the evidence allows.
//! 3. A node that left is away, not down; the time until it returns counts neither for nor against it.
//! 4. Spans lie within the window, do not overlap, and are in order of time.
//!
//! `order.rs` orders events and finds what is missing · `lives.rs` the lives of each node · `node.rs` the figures about a
//! node · `leading.rs` terms and failovers.
//!
//! Not here: storing the evidence (`crate::store::history`), showing a report (`crate::cli`, `crate::rpc::wire`).

mod leading;
mod lives;
mod node;
mod order;

use super::{Between, Histogram, Summary};
use crate::cluster::event::{ClusterEvent, ElectedReason, LostReason};
use crate::cluster::ids::{Incarnation, NodeId, Term};
use crate::cluster::members::member::Member;
use crate::cluster::time::ServerTime;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// The summaries of each node.
type Summaries<'a> = BTreeMap<&'a NodeId, Vec<&'a Summary>>;

/// A node flaps when it is down and returns within this time.
pub const FLAP: Duration = Duration::from_mins(5);

/// How much further back than its window the events of a report should begin: the cluster forgets a node after this time,
/// so these events show the reason of every absence at the start of the window.
pub const LOOK_BACK: Duration = Duration::from_hours(7 * 24);

/// The number of intervals after its last sign of life at which a member counts as down even if no node was there to
/// declare it so: three missed heartbeats, and half an interval for the way.
const SILENT: f64 = 3.5;

/// The time of a report, on the Redis server's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The start.
    pub from: ServerTime,
    /// The end, which is now: everything known happened before it.
    pub to: ServerTime,
}

impl Window {
    /// The length of the window.
    #[must_use]
    pub fn length(self) -> Duration {
        self.to.since(self.from)
    }

    /// The part of a span within the window; `None`: it is outside.
    fn clip(self, (from, to): Between) -> Option<Between> {
        (to >= self.from && from <= self.to && from <= to).then(|| (from.max(self.from), to.min(self.to)))
    }
}

/// The evidence for a report.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// The summaries of all nodes that overlap the window.
    pub summaries: &'a [Summary],
    /// The events, from [`LOOK_BACK`] before the window if they are kept.
    pub events: &'a [ClusterEvent],
    /// The current members; `None`: Redis did not answer.
    pub members: Option<&'a [Member]>,
    /// The current holder of the leader's lease, and its term, if known.
    pub leader: Option<&'a (NodeId, Term)>,
    /// The heartbeat interval of the cluster, if known.
    pub interval: Option<Duration>,
}

/// The report about a window; see the head of this file.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The window.
    pub window: Window,
    /// The parts of the window without recorded events (trimmed, or before the record); there, only heartbeats are known.
    pub unrecorded: Vec<Between>,
    /// The time of the oldest known heartbeat; `None`: there is none.
    pub beats_since: Option<ServerTime>,
    /// When the cluster started over with an empty or older data set.
    pub data_lost: Vec<ServerTime>,
    /// The maximum by which the server's clock was set back; times near that are not exact. Zero: it was not set back.
    pub set_back: Duration,
    /// The nodes that were members at some time within the window, by id.
    pub nodes: Vec<NodeReport>,
    /// The leaders and their terms.
    pub reigns: Vec<LeaderTerm>,
    /// The changes of leader within the window.
    pub failovers: Vec<Failover>,
    /// Since when there has been no leader, as far as events show; `None`: there is one, or there never was one. A report that is
    /// reduced to one node keeps it: another node may lead.
    pub leaderless_since: Option<ServerTime>,
}

impl Report {
    /// Computes the report about a window.
    #[must_use]
    pub fn of(window: Window, evidence: &Evidence<'_>) -> Self {
        let order::Ordered { events, unrecorded, data_lost, set_back } = order::ordered(window, evidence.events);
        let mut summaries: Summaries<'_> = BTreeMap::new();
        for summary in evidence.summaries {
            summaries.entry(&summary.node_id).or_default().push(summary);
        }
        let lives = lives::lives(window, evidence, &summaries, &events);
        let reigns = leading::reigns(window, evidence, &events, &lives);
        let failovers = leading::failovers(window, evidence, &events, &reigns);
        let report = |(id, lives): (&NodeId, &Vec<lives::Instance>)| {
            let own = summaries.get(id).map(Vec::as_slice).unwrap_or_default();
            node::report(window, id, lives, own, evidence, &events)
        };
        let nodes = lives.iter().filter_map(report).collect();
        let reigns = reigns.into_iter().filter_map(|reign| reign.within(window)).collect::<Vec<_>>();
        let beats_since = evidence.summaries.iter().map(|summary| summary.first_at).min();
        let leaderless_since = leaderless_since(&reigns);
        Self { window, unrecorded, beats_since, data_lost, set_back, nodes, reigns, failovers, leaderless_since }
    }
}

/// The end of the last leadership, unless that leader still leads or nothing is known of its end.
fn leaderless_since(reigns: &[LeaderTerm]) -> Option<ServerTime> {
    let ended = |reign: &&LeaderTerm| !matches!(reign.end, ReignEnd::Leads | ReignEnd::Unknown);
    reigns.last().filter(ended).map(|reign| reign.until)
}

/// The history of one node.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeReport {
    /// The id of the node.
    pub node_id: NodeId,
    /// The display name of the node; its id if it has none.
    pub name: String,
    /// The status of the node at the end of the window.
    pub now: Standing,
    /// The spans in which the node was online.
    pub online: Vec<Stay>,
    /// The spans in which the node was not online, after it was online for the first time.
    pub away: Vec<Absence>,
    /// The spans in which heartbeats are missing although the node was a member.
    pub gaps: Vec<Gap>,
    /// Whether there are more gaps than listed: a summary keeps only so many.
    pub gaps_cut: bool,
    /// The number of recorded heartbeats, in whole summaries, so including up to ten minutes before the window.
    pub beats: u64,
    /// The number of heartbeats that needed more than one attempt.
    pub retried: u64,
    /// The delays between when heartbeats were due and when they were answered.
    pub delays: Histogram,
    /// The longest delay.
    pub longest_delay: Duration,
    /// The round trips of heartbeats.
    pub round_trips: Histogram,
    /// The versions of clawster that the node ran, newest last.
    pub versions: Vec<String>,
}

impl NodeReport {
    /// The delay that the fraction `share` (0 to 1) of the heartbeats did not exceed; `None`: there are none. At most the
    /// longest delay, which is known exactly, while the histogram knows only the middle of a bucket.
    #[must_use]
    pub fn delay(&self, share: f64) -> Option<Duration> {
        self.delays.quantile(share).map(|delay| delay.min(self.longest_delay))
    }

    /// How long the node was online.
    #[must_use]
    pub fn online_for(&self) -> Duration {
        self.online.iter().map(|stay| stay.to.since(stay.from)).sum()
    }

    /// How long the node was down: away without having left.
    #[must_use]
    pub fn down_for(&self) -> Duration {
        self.away.iter().filter(|absence| absence.is_down()).map(|absence| absence.to.since(absence.from)).sum()
    }

    /// The fraction (0 to 1) of the time since the node was first online during which it was online, without the time after
    /// it left. `None`: no time is left to count.
    #[must_use]
    pub fn availability(&self) -> Option<f64> {
        let (online, down) = (self.online_for().as_secs_f64(), self.down_for().as_secs_f64());
        (online + down > 0.0).then(|| online / (online + down))
    }

    /// How often the node was down and returned within [`FLAP`].
    #[must_use]
    pub fn flaps(&self) -> usize {
        self.away.iter().filter(|absence| absence.flap).count()
    }
}

/// The status of a node at the end of the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// The node is a live member.
    Online,
    /// The node is down.
    Offline,
    /// The node has left.
    Left,
}

/// A span in which a node was online.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stay {
    /// The start, within the window.
    pub from: ServerTime,
    /// The end.
    pub to: ServerTime,
    /// The incarnation of the node.
    pub incarnation: Incarnation,
}

/// A span in which a node was not a live member after it had been one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Absence {
    /// The start, within the window.
    pub from: ServerTime,
    /// The end.
    pub to: ServerTime,
    /// Why the node was away.
    pub reason: Gone,
    /// Whether the node returned at the end of the span, within the window.
    pub back: bool,
    /// Whether the node was down for a known reason and returned within [`FLAP`], counted from the beginning of the absence
    /// even if that is before the window.
    pub flap: bool,
}

impl Absence {
    /// Whether the node was down: away without having left.
    #[must_use]
    pub fn is_down(&self) -> bool {
        self.reason != Gone::Left
    }
}

/// Why a node was away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Gone {
    /// The node left.
    Left,
    /// The heartbeat deadline of the node passed.
    HeartbeatTimeout,
    /// The process of the node died.
    ProcessDied,
    /// Another process took over the node id.
    Replaced,
    /// The heartbeats of the node stopped, and no other node was there to declare it offline.
    Silent,
    /// The event with the reason is not kept.
    Unknown,
}

/// A span with missing heartbeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// The heartbeat before the gap, or the start of the window.
    pub from: ServerTime,
    /// The heartbeat after the gap, or the end of the window if the gap is not over.
    pub to: ServerTime,
    /// The approximate number of missing heartbeats, including those before the window.
    pub missed: u64,
}

/// The time of one leader in one term.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaderTerm {
    /// The leader.
    pub node_id: NodeId,
    /// The term; `None`: only the fact that this node led is recorded.
    pub term: Option<Term>,
    /// The start, within the window: the election, or the first known heartbeat as leader.
    pub from: ServerTime,
    /// The end; if no event shows it, the last heartbeat as leader, or the next election if no heartbeat is recorded.
    pub until: ServerTime,
    /// How the term ended.
    pub end: ReignEnd,
    /// The last recorded heartbeat as leader.
    pub last_beat: Option<ServerTime>,
}

/// How a term ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReignEnd {
    /// It continues.
    Leads,
    /// The leader gave leadership up, or had to; `until` is that time.
    Lost(LostReason),
    /// Another leader was elected; the exact end is unknown.
    Followed,
    /// The leader went away, and no other leader was elected.
    Gone,
    /// What came next is unknown.
    Unknown,
}

/// A change of the leader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failover {
    /// When the new leader was elected.
    pub at: ServerTime,
    /// The new leader.
    pub node_id: NodeId,
    /// The term of the new leader.
    pub term: Term,
    /// The previous leader.
    pub previous: NodeId,
    /// Why there was an election.
    pub reason: ElectedReason,
    /// Since when there was no leader, if recorded.
    pub vacant_since: Option<ServerTime>,
    /// The last sign that the old leader was leading: its last recorded heartbeat as leader, or its election if that was
    /// just before.
    pub last_sign: Option<ServerTime>,
}

/// How long there was no leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vacancy {
    /// Exactly this long.
    Exactly(Duration),
    /// At most this long: from the last sign of the old leader to the election. The old leader may have led for some time
    /// after that sign.
    AtMost(Duration),
    /// Neither is recorded.
    Unknown,
}

impl Failover {
    /// How long there was no leader.
    #[must_use]
    pub fn vacancy(&self) -> Vacancy {
        match (self.vacant_since, self.last_sign) {
            (Some(since), _) => Vacancy::Exactly(self.at.since(since)),
            (None, Some(sign)) => Vacancy::AtMost(self.at.since(sign)),
            (None, None) => Vacancy::Unknown,
        }
    }

    /// Whether the change was requested, or the old leader left.
    #[must_use]
    pub fn is_planned(&self) -> bool {
        matches!(self.reason, ElectedReason::Handover | ElectedReason::Resigned)
    }
}

#[cfg(test)]
mod tests;
