//! Reports of small stories, told in seconds.
//!
//! `properties.rs` what holds for every story · `irregular.rs` stories with holes, jumping clocks and no evidence.
//!
//! Not here: how a report is shown.

mod irregular;
mod properties;

use super::*;
use crate::cluster::event::{ClusterFact, LeftReason};
use crate::cluster::history::Sample;
use crate::cluster::ids::EventSeq;
use crate::cluster::members::member::{Metadata, PresenceKind, StoredStatus};

/// The interval of all stories.
const INTERVAL: Duration = Duration::from_secs(10);
/// When stories begin, so that the look back has room.
const START: u64 = 10_000_000;

fn at(second: u64) -> ServerTime {
    ServerTime((START + second) * 1_000)
}

fn id(name: &str) -> NodeId {
    NodeId::new(name).expect("an id")
}

/// What happened, from which a report is made.
#[derive(Debug, Clone, Default)]
struct Story {
    events: Vec<ClusterEvent>,
    samples: Vec<Sample>,
    members: Option<Vec<Member>>,
    leader: Option<(NodeId, Term)>,
}

impl Story {
    fn event(mut self, second: u64, node: &str, fact: ClusterFact) -> Self {
        let seq = EventSeq(self.events.last().map_or(1, |last| last.seq.0 + 1));
        self.events.push(ClusterEvent { seq, at: at(second), node_id: id(node), fact });
        self
    }

    fn joined(self, second: u64, node: &str, instance: u64) -> Self {
        let rejoined = self.events.iter().any(|event| event.node_id == id(node));
        let fact = ClusterFact::NodeJoined { name: String::new(), incarnation: Incarnation(instance), rejoined };
        self.event(second, node, fact)
    }

    fn left(self, second: u64, node: &str, instance: u64, reason: LeftReason) -> Self {
        self.event(second, node, ClusterFact::NodeLeft { incarnation: Incarnation(instance), reason })
    }

    fn elected(self, second: u64, node: &str, term: u64, previous: &str, reason: ElectedReason) -> Self {
        let previous_leader_id = NodeId::new(previous).ok();
        let fact = ClusterFact::LeaderElected { leader_id: id(node), term: Term(term), previous_leader_id, reason };
        self.event(second, node, fact)
    }

    fn lost(self, second: u64, node: &str, term: u64, reason: LostReason) -> Self {
        self.event(second, node, ClusterFact::LeaderLost { leader_id: id(node), term: Term(term), reason })
    }

    /// Beats every interval, both ends included; `term` over zero: as the leader.
    fn beats(mut self, node: &str, instance: u64, seconds: std::ops::RangeInclusive<u64>, term: u64) -> Self {
        for second in seconds.step_by(10) {
            let before = self.samples.iter().filter(|known| known.incarnation == Incarnation(instance)).count();
            self.samples.push(Sample {
                node_id: id(node),
                incarnation: Incarnation(instance),
                number: before as u64 + 1,
                at: at(second),
                leads: term > 0,
                term: Term(term),
                leader_id: None,
                round_trip: Duration::from_millis(2),
                attempts: 1,
                delay: Duration::from_millis(5),
                lag: 0,
                memory: 0,
                peers: None,
                version: "1.0.0".to_owned(),
                interval: INTERVAL,
            });
        }
        self
    }

    fn member(mut self, node: &str, instance: u64, status: StoredStatus, joined: u64, seen: u64) -> Self {
        let metadata = Metadata { version: "1.0.0".to_owned(), ..Metadata::default() };
        self.members.get_or_insert_default().push(Member {
            node_id: id(node),
            incarnation: Incarnation(instance),
            metadata,
            status,
            presence: PresenceKind::Connection,
            joined_at: at(joined),
            last_seen: at(seen),
        });
        self
    }

    /// The report of the seconds from `from` to `to`.
    fn report(&self, from: u64, to: u64) -> Report {
        let summaries = Summary::of_all(&self.samples);
        let evidence = Evidence {
            summaries: &summaries,
            events: &self.events,
            members: self.members.as_deref(),
            leader: self.leader.as_ref(),
            interval: Some(INTERVAL),
        };
        Report::of(Window { from: at(from), to: at(to) }, &evidence)
    }
}

fn node<'a>(report: &'a Report, name: &str) -> &'a NodeReport {
    report.nodes.iter().find(|node| node.node_id == id(name)).unwrap_or_else(|| panic!("no {name} in {report:?}"))
}

/// Spans in seconds of the story.
fn seconds(from: ServerTime, to: ServerTime) -> (u64, u64) {
    (from.0 / 1_000 - START, to.0 / 1_000 - START)
}

fn online(report: &Report, name: &str) -> Vec<(u64, u64)> {
    node(report, name).online.iter().map(|stay| seconds(stay.from, stay.to)).collect()
}

fn away(report: &Report, name: &str) -> Vec<((u64, u64), Gone, bool)> {
    let spans = node(report, name).away.iter();
    spans.map(|absence| (seconds(absence.from, absence.to), absence.reason, absence.flap)).collect()
}

#[test]
fn a_killed_leader_is_a_failover_and_its_return_a_flap() {
    let story = Story::default()
        .joined(0, "a", 1)
        .joined(1, "b", 2)
        .elected(2, "a", 3, "", ElectedReason::Vacant)
        .beats("a", 1, 10..=95, 3)
        .beats("b", 2, 11..=591, 0)
        .left(102, "a", 1, LeftReason::ProcessDied)
        .elected(102, "b", 4, "a", ElectedReason::ProcessDied)
        .joined(160, "a", 5)
        .beats("a", 5, 170..=590, 0)
        .member("a", 5, StoredStatus::Online, 160, 590)
        .member("b", 2, StoredStatus::Online, 1, 591);
    let report = story.report(0, 600);
    assert_eq!(online(&report, "a"), [(0, 102), (160, 600)]);
    assert_eq!(away(&report, "a"), [((102, 160), Gone::ProcessDied, true)]);
    let a = node(&report, "a");
    assert_eq!((a.flaps(), a.now, a.down_for()), (1, Standing::Online, Duration::from_secs(58)));
    assert!((a.availability().expect("a share") - 542.0 / 600.0).abs() < 1e-9);
    let b = node(&report, "b");
    // It was known only a second after the window began, and was there all the time since.
    assert_eq!((online(&report, "b"), b.availability(), b.away.len()), (vec![(1, 600)], Some(1.0), 0));
    assert_eq!((b.gaps.len(), b.beats, b.versions.as_slice()), (0, 59, &["1.0.0".to_owned()][..]));
    let [failover] = report.failovers.as_slice() else { panic!("{:?}", report.failovers) };
    assert_eq!((&failover.previous, &failover.node_id, failover.term), (&id("a"), &id("b"), Term(4)));
    // The last beat as the leader came 12 seconds before the election: more is not known.
    assert_eq!((failover.vacancy(), failover.is_planned()), (Vacancy::AtMost(Duration::from_secs(12)), false));
    let reigns: Vec<_> = report.reigns.iter().map(|reign| (seconds(reign.from, reign.until), reign.end)).collect();
    assert_eq!(reigns, [((2, 90), ReignEnd::Followed), ((102, 600), ReignEnd::Leads)]);
    assert_eq!((report.leaderless_since, report.unrecorded.as_slice()), (None, &[][..]));
}

#[test]
fn a_goodbye_is_no_down_time_and_its_vacancy_is_exact() {
    let story = Story::default()
        .joined(0, "a", 1)
        .joined(0, "b", 2)
        .elected(5, "a", 3, "", ElectedReason::Vacant)
        .lost(100, "a", 3, LostReason::Resigned)
        .left(100, "a", 1, LeftReason::Left)
        .elected(101, "b", 4, "a", ElectedReason::Resigned)
        .joined(200, "a", 5)
        .left(300, "b", 2, LeftReason::Left)
        .lost(300, "b", 4, LostReason::Resigned);
    let report = story.report(50, 400);
    assert_eq!(away(&report, "a"), [((100, 200), Gone::Left, false)]);
    assert_eq!((node(&report, "a").availability(), node(&report, "a").flaps()), (Some(1.0), 0));
    assert_eq!((node(&report, "b").now, node(&report, "b").availability()), (Standing::Left, Some(1.0)));
    assert_eq!(report.failovers[0].vacancy(), Vacancy::Exactly(Duration::from_secs(1)));
    assert!(report.failovers[0].is_planned() && report.failovers.len() == 1);
    assert_eq!(report.leaderless_since, Some(at(300)));
    assert_eq!(report.reigns[0].from, at(50), "it began before the window");
}

#[test]
fn a_node_that_is_away_for_longer_does_not_flap() {
    let story = Story::default()
        .joined(0, "a", 1)
        .left(100, "a", 1, LeftReason::HeartbeatTimeout)
        .joined(401, "a", 2)
        .left(500, "a", 2, LeftReason::ProcessDied)
        .joined(800, "a", 3)
        .left(900, "a", 3, LeftReason::Replaced)
        .joined(900, "a", 4);
    let report = story.report(0, 1_000);
    let spans = away(&report, "a");
    assert_eq!(spans[0], ((100, 401), Gone::HeartbeatTimeout, false), "a second too long");
    assert_eq!(spans[1], ((500, 800), Gone::ProcessDied, true));
    assert_eq!(spans[2], ((900, 900), Gone::Replaced, false), "another process took over");
}

#[test]
fn a_restart_within_the_grace_is_a_flap_without_length() {
    let story = Story::default().joined(0, "a", 1).left(50, "a", 1, LeftReason::ProcessDied).joined(50, "a", 2);
    let report = story.report(0, 100);
    assert_eq!(away(&report, "a"), [((50, 50), Gone::ProcessDied, true)]);
    assert_eq!(node(&report, "a").availability(), Some(1.0));
}

#[test]
fn missed_beats_are_gaps_unless_the_node_was_gone() {
    let story = Story::default()
        .joined(0, "a", 1)
        .beats("a", 1, 10..=100, 0)
        .beats("a", 1, 140..=200, 0)
        .left(230, "a", 1, LeftReason::HeartbeatTimeout)
        .joined(260, "a", 1)
        .beats("a", 1, 260..=300, 0)
        .member("a", 1, StoredStatus::Online, 0, 300);
    let report = story.report(0, 330);
    let gaps: Vec<_> = node(&report, "a").gaps.iter().map(|gap| (seconds(gap.from, gap.to), gap.missed)).collect();
    assert_eq!(gaps, [((100, 140), 3), ((300, 330), 2)]);
    assert_eq!(online(&report, "a"), [(0, 230), (260, 330)]);
}

#[test]
fn the_window_cuts_spans_at_both_ends() {
    let story = Story::default()
        .joined(0, "gone", 9)
        .joined(0, "a", 1)
        .left(10, "gone", 9, LeftReason::Left)
        .left(100, "a", 1, LeftReason::ProcessDied)
        .joined(200, "a", 2)
        .left(300, "a", 2, LeftReason::ProcessDied);
    let report = story.report(150, 320);
    assert_eq!(online(&report, "a"), [(200, 300)]);
    let a = node(&report, "a");
    assert_eq!((a.now, a.away[0].from, a.away[1].to), (Standing::Offline, at(150), at(320)));
    assert!(a.away[0].flap && !a.away[1].back, "{:?}", a.away);
    assert!(report.nodes.iter().all(|node| node.node_id != id("gone")), "it had left before");
}
