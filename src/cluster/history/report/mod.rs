//! What a window of history says: who was there, who was down and for how long, who led, and how long nobody did.
//!
//! 1. A report is a function of its evidence; the same evidence in another order gives the same report.
//! 2. Where events tell when something happened, the report has that instant. Where only heartbeats do, it has the last one
//!    that is known, and says so: nothing is made more exact than the evidence is.
//! 3. A node that said goodbye is away, not down; the time until it is back counts neither for nor against it.
//! 4. Spans lie within the window, do not overlap, and stand in the order of time.
//!
//! `order.rs` brings events into order and finds what is missing · `lives.rs` the lives of each node · `node.rs` a node's
//! figures · `leading.rs` reigns and failovers.
//!
//! Not here: where the evidence is kept (`crate::store::history`), how a report is shown (`crate::cli`, `crate::rpc::wire`).

mod leading;
mod lives;
mod node;
mod order;

use super::{Between, Histogram, Summary};
use crate::cluster::event::{ClusterEvent, ElectedReason, LostReason};
use crate::cluster::ids::{Incarnation, NodeId, Term};
use crate::cluster::members::member::Member;
use crate::cluster::time::ServerTime;
use std::collections::BTreeMap;
use std::time::Duration;

/// The summaries of each node.
type Summaries<'a> = BTreeMap<&'a NodeId, Vec<&'a Summary>>;

/// A node flaps when it is gone without a goodbye, and back within this time.
pub const FLAP: Duration = Duration::from_mins(5);

/// How much further back than its window a report should be given events: the cluster forgets a node after this time, so
/// that the reason of every absence at the window's beginning is among them.
pub const LOOK_BACK: Duration = Duration::from_hours(7 * 24);

/// How many intervals after its last sign of life a member counts as down although nobody was there to say so: three
/// heartbeats missed, and half of one for the way.
const SILENT: f64 = 3.5;

/// The time that a report is about, on the Redis server's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Its beginning.
    pub from: ServerTime,
    /// Its end, which is the present: what is known happened before it.
    pub to: ServerTime,
}

impl Window {
    /// How long it is.
    #[must_use]
    pub fn length(self) -> Duration {
        self.to.since(self.from)
    }

    /// The part of a span that lies within; `None`: it ends before, or begins behind.
    fn clip(self, (from, to): Between) -> Option<Between> {
        (to >= self.from && from <= self.to && from <= to).then(|| (from.max(self.from), to.min(self.to)))
    }
}

/// What a report is made of.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// The summaries that touch the window, of all nodes.
    pub summaries: &'a [Summary],
    /// Events, from [`LOOK_BACK`] before the window where they are kept.
    pub events: &'a [ClusterEvent],
    /// The rows of the members now; `None`: Redis did not answer.
    pub members: Option<&'a [Member]>,
    /// Who holds the leader's lease now, and under which term, where that is known.
    pub leader: Option<&'a (NodeId, Term)>,
    /// The cluster's heartbeat interval, where it is known.
    pub interval: Option<Duration>,
}

/// See the module's text.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The time that it is about.
    pub window: Window,
    /// The parts of the window of which events are not kept (trimmed, or older than the record): what happened there is known
    /// from heartbeats only.
    pub unrecorded: Vec<Between>,
    /// The oldest heartbeat that is recorded and known here; `None`: none is.
    pub beats_since: Option<ServerTime>,
    /// When the cluster began again on an empty or older data set.
    pub data_lost: Vec<ServerTime>,
    /// By how much the server's clock was set back, at most; times around that are not exact. Zero: it was not.
    pub set_back: Duration,
    /// The nodes that were members at some time of the window, by id.
    pub nodes: Vec<NodeReport>,
    /// Who led when.
    pub reigns: Vec<LeaderTerm>,
    /// The changes of the leader within the window.
    pub failovers: Vec<Failover>,
}

impl Report {
    /// Makes the report of a window.
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
        let told = |(id, lives): (&NodeId, &Vec<lives::Instance>)| {
            let own = summaries.get(id).map(Vec::as_slice).unwrap_or_default();
            node::report(window, id, lives, own, evidence, &events)
        };
        let nodes = lives.iter().filter_map(told).collect();
        let reigns = reigns.into_iter().filter_map(|reign| reign.within(window)).collect();
        let beats_since = evidence.summaries.iter().map(|summary| summary.first_at).min();
        Self { window, unrecorded, beats_since, data_lost, set_back, nodes, reigns, failovers }
    }

    /// Since when nobody leads, as far as events tell; `None`: somebody does, or nobody ever did.
    #[must_use]
    pub fn leaderless_since(&self) -> Option<ServerTime> {
        self.reigns
            .last()
            .filter(|reign| !matches!(reign.end, ReignEnd::Leads | ReignEnd::Unknown))
            .map(|reign| reign.until)
    }
}

/// What a node was like.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeReport {
    /// Who.
    pub node_id: NodeId,
    /// Its name for people; the id where it has none.
    pub name: String,
    /// How it stands at the end of the window.
    pub now: Standing,
    /// When it was a live member.
    pub online: Vec<Stay>,
    /// When it was not, between its first appearance as a live member and the window's end.
    pub away: Vec<Absence>,
    /// Where heartbeats are missing while it was a member.
    pub gaps: Vec<Gap>,
    /// More gaps than are listed: a summary keeps only so many.
    pub gaps_cut: bool,
    /// How many heartbeats are recorded, counted in whole summaries: up to ten minutes before the window are in it.
    pub beats: u64,
    /// How many of them needed more than one attempt.
    pub retried: u64,
    /// How long after they were due the beats were answered.
    pub delays: Histogram,
    /// The longest of these.
    pub longest_delay: Duration,
    /// How long the round trips took.
    pub round_trips: Histogram,
    /// The versions of clawster that it ran, in the order of time, the last one is the newest.
    pub versions: Vec<String>,
}

impl NodeReport {
    /// The delay that the share (0 to 1) of its beats did not exceed; `None`: no beats. Never more than the longest, which
    /// is known exactly, while the histogram knows the middle of a bucket.
    #[must_use]
    pub fn delay(&self, share: f64) -> Option<Duration> {
        self.delays.quantile(share).map(|delay| delay.min(self.longest_delay))
    }

    /// How long it was a live member.
    #[must_use]
    pub fn online_for(&self) -> Duration {
        self.online.iter().map(|stay| stay.to.since(stay.from)).sum()
    }

    /// How long it was down: away without a goodbye.
    #[must_use]
    pub fn down_for(&self) -> Duration {
        self.away.iter().filter(|absence| absence.is_down()).map(|absence| absence.to.since(absence.from)).sum()
    }

    /// Which share (0 to 1) of the time since it first was a live member it was one, goodbyes left out. `None`: no time.
    #[must_use]
    pub fn availability(&self) -> Option<f64> {
        let (online, down) = (self.online_for().as_secs_f64(), self.down_for().as_secs_f64());
        (online + down > 0.0).then(|| online / (online + down))
    }

    /// How many times it was gone without a goodbye and back within [`FLAP`].
    #[must_use]
    pub fn flaps(&self) -> usize {
        self.away.iter().filter(|absence| absence.flap).count()
    }
}

/// How a node stands at the end of the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is a live member.
    Online,
    /// It is down.
    Offline,
    /// It said goodbye.
    Left,
}

/// A span as a live member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stay {
    /// From when, within the window.
    pub from: ServerTime,
    /// Until when.
    pub to: ServerTime,
    /// In which life.
    pub incarnation: Incarnation,
}

/// A span in which a node that was a member before was none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Absence {
    /// From when, within the window.
    pub from: ServerTime,
    /// Until when.
    pub to: ServerTime,
    /// Why it was gone.
    pub reason: Gone,
    /// It came back at the end of the span, within the window.
    pub back: bool,
    /// It was gone without a goodbye, for a reason that is known, and back within [`FLAP`]; counted from its beginning, also
    /// where that lies before the window.
    pub flap: bool,
}

impl Absence {
    /// Whether the node was down: away without a goodbye.
    #[must_use]
    pub fn is_down(&self) -> bool {
        self.reason != Gone::Left
    }
}

/// Why a node was gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gone {
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// The beat before, or the beginning of the window.
    pub from: ServerTime,
    /// The beat after it; the window's end where it is not over.
    pub to: ServerTime,
    /// About how many are missing, also those before the window.
    pub missed: u64,
}

/// The time of one leader under one term.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaderTerm {
    /// Who led.
    pub node_id: NodeId,
    /// Under which term; `None`: the cluster told only who led before.
    pub term: Option<Term>,
    /// From when, within the window: the election, or the first heartbeat as the leader that is known.
    pub from: ServerTime,
    /// Until when; where no event tells, the last heartbeat as the leader, or the next election where none is recorded.
    pub until: ServerTime,
    /// How it ended.
    pub end: ReignEnd,
    /// Its last heartbeat as the leader, as far as recorded.
    pub last_beat: Option<ServerTime>,
}

/// How a reign ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReignEnd {
    /// It goes on.
    Leads,
    /// The leader gave it up, or had to; `until` is that instant.
    Lost(LostReason),
    /// Another one was elected; when it ended is known no better than `until`.
    Followed,
    /// The leader was gone, and nobody followed.
    Gone,
    /// What came after is not known.
    Unknown,
}

/// A change of the leader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failover {
    /// When the new leader was elected.
    pub at: ServerTime,
    /// Who.
    pub node_id: NodeId,
    /// Under which term.
    pub term: Term,
    /// Who led before.
    pub previous: NodeId,
    /// Why.
    pub reason: ElectedReason,
    /// Since when nobody led, where the cluster told.
    pub vacant_since: Option<ServerTime>,
    /// The last sign of the old leader as the leader: its last recorded heartbeat, or its election where that was just before.
    pub last_sign: Option<ServerTime>,
}

/// How long there was no leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vacancy {
    /// So long.
    Exactly(Duration),
    /// Not longer than this: from the last sign of the old leader to the election. It may have led on after that sign.
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

    /// Whether somebody asked for it, or the old leader said goodbye.
    #[must_use]
    pub fn is_planned(&self) -> bool {
        matches!(self.reason, ElectedReason::Handover | ElectedReason::Resigned)
    }
}

#[cfg(test)]
mod tests;
