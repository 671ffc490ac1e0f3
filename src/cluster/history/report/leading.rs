//! The leaders and their terms, and the times without a leader.
//!
//! 1. A term is granted once, so it identifies the time of one leader; these times are in the order of their terms.
//! 2. The cluster records when a leader gives up leadership. When its process dies, only its last heartbeat and the next
//!    election are known.
//!
//! Not here: whether the leader's node is alive (`lives.rs`).

use super::lives::Instance;
use super::{Evidence, Failover, LeaderTerm, ReignEnd, SILENT, Window};
use crate::cluster::event::{ClusterEvent, ClusterFact, LostReason};
use crate::cluster::history::Between;
use crate::cluster::ids::{NodeId, Term};
use crate::cluster::time::ServerTime;
use std::collections::BTreeMap;

/// What is known about one term.
struct Traces<'a> {
    node_id: &'a NodeId,
    elected: Option<ServerTime>,
    lost: Option<(ServerTime, LostReason)>,
    /// The first and the last heartbeat as its leader.
    beats: Option<Between>,
    /// Whether the lease's record names it now.
    now: bool,
}

/// All terms with any evidence; they may begin and end outside the window.
pub(super) fn reigns(
    window: Window,
    evidence: &Evidence<'_>,
    events: &[ClusterEvent],
    lives: &BTreeMap<NodeId, Vec<Instance>>,
) -> Vec<LeaderTerm> {
    let mut terms: BTreeMap<Term, Traces<'_>> = BTreeMap::new();
    for event in events {
        match &event.fact {
            ClusterFact::LeaderElected { leader_id, term, .. } => {
                at(&mut terms, *term, leader_id).elected = Some(event.at);
            }
            ClusterFact::LeaderLost { leader_id, term, reason } => {
                at(&mut terms, *term, leader_id).lost = Some((event.at, *reason));
            }
            _ => {}
        }
    }
    for summary in evidence.summaries {
        for (term, from, to) in &summary.reigns {
            let traces = at(&mut terms, *term, &summary.node_id);
            let (first, last) = traces.beats.unwrap_or((*from, *to));
            traces.beats = Some((first.min(*from).min(window.to), last.max(*to).min(window.to)));
        }
    }
    if let Some((leader, term)) = evidence.leader {
        at(&mut terms, *term, leader).now = true;
    }
    let mut reigns = settle(window, events, lives, &terms);
    if let Some(reign) = before_the_record(events, &terms) {
        reigns.insert(0, reign);
    }
    reigns
}

/// The term before the first recorded election, if only that election shows it.
fn before_the_record(events: &[ClusterEvent], terms: &BTreeMap<Term, Traces<'_>>) -> Option<LeaderTerm> {
    let from = events.first()?.at;
    let first = events.iter().find_map(|event| match &event.fact {
        ClusterFact::LeaderElected { term, previous_leader_id, .. } => Some((event.at, *term, previous_leader_id)),
        _ => None,
    });
    let (until, term, Some(node_id)) = first? else { return None };
    let named = terms.range(..term).next().is_some();
    let (node_id, end) = (node_id.clone(), ReignEnd::Followed);
    (!named).then_some(LeaderTerm { node_id, term: None, from, until, end, last_beat: None })
}

fn at<'t, 'a>(terms: &'t mut BTreeMap<Term, Traces<'a>>, term: Term, node_id: &'a NodeId) -> &'t mut Traces<'a> {
    terms.entry(term).or_insert(Traces { node_id, elected: None, lost: None, beats: None, now: false })
}

fn settle(
    window: Window,
    events: &[ClusterEvent],
    lives: &BTreeMap<NodeId, Vec<Instance>>,
    terms: &BTreeMap<Term, Traces<'_>>,
) -> Vec<LeaderTerm> {
    let record = events.first().map(|event| event.at);
    let begins: Vec<ServerTime> = terms
        .values()
        .enumerate()
        .map(|(place, traces)| began(window, traces, if place == 0 { record } else { None }))
        .collect();
    let mut reigns: Vec<LeaderTerm> = Vec::with_capacity(terms.len());
    for (place, (term, traces)) in terms.iter().enumerate() {
        let floor = reigns.last().map_or(ServerTime(0), |reign| reign.until);
        let from = begins.get(place).copied().unwrap_or(window.to).max(floor);
        let last_beat = traces.beats.map(|(_, last)| last);
        let (until, end) = match (traces.lost, begins.get(place + 1)) {
            (Some((lost, reason)), next) => (next.map_or(lost, |next| lost.min(*next)), ReignEnd::Lost(reason)),
            (None, Some(next)) => (last_beat.map_or(*next, |beat| beat.min(*next)), ReignEnd::Followed),
            (None, None) => last_end(window, traces, from, lives),
        };
        let until = until.max(from).min(window.to);
        reigns.push(LeaderTerm { node_id: traces.node_id.clone(), term: Some(*term), from, until, end, last_beat });
    }
    reigns
}

/// The latest possible beginning of a term.
fn began(window: Window, traces: &Traces<'_>, record: Option<ServerTime>) -> ServerTime {
    // A first term without a recorded election had begun when the record of events begins.
    let record = record.filter(|_| traces.lost.is_some() || traces.now);
    let first = traces.beats.map(|(first, _)| first);
    traces.elected.or([first, record].into_iter().flatten().min()).unwrap_or(window.to).min(window.to)
}

/// How the latest term ended, if it did.
fn last_end(
    window: Window,
    traces: &Traces<'_>,
    from: ServerTime,
    lives: &BTreeMap<NodeId, Vec<Instance>>,
) -> (ServerTime, ReignEnd) {
    let last = traces.beats.map(|(_, last)| last);
    // The incarnation that it led in: the one at the time of its last sign as leader.
    let sign = last.unwrap_or(from);
    let own = lives.get(traces.node_id).map(Vec::as_slice).unwrap_or_default();
    match own.iter().rev().find(|instance| instance.from <= sign) {
        Some(instance) if instance.end.is_none() => (window.to, ReignEnd::Leads),
        Some(instance) => (instance.to, ReignEnd::Gone),
        None => (sign, ReignEnd::Unknown),
    }
}

/// The changes of leader within the window.
pub(super) fn failovers(
    window: Window,
    evidence: &Evidence<'_>,
    events: &[ClusterEvent],
    reigns: &[LeaderTerm],
) -> Vec<Failover> {
    // A leader that died so soon had no time to record a heartbeat.
    let soon = evidence.interval.unwrap_or_default().mul_f64(SILENT);
    let mut changes = Vec::new();
    for event in events {
        let ClusterFact::LeaderElected { leader_id, term, previous_leader_id, reason } = &event.fact else { continue };
        if window.clip((event.at, event.at)).is_none() {
            continue;
        }
        let before = reigns.iter().rev().find(|reign| reign.term.is_none_or(|before| before < *term));
        let Some(previous) = previous_leader_id.as_ref().or(before.map(|reign| &reign.node_id)) else { continue };
        let before = before.filter(|reign| reign.node_id == *previous);
        let elected = before.map(|reign| reign.from).filter(|from| event.at.since(*from) <= soon);
        changes.push(Failover {
            at: event.at,
            node_id: leader_id.clone(),
            term: *term,
            previous: previous.clone(),
            reason: *reason,
            vacant_since: before.filter(|reign| matches!(reign.end, ReignEnd::Lost(_))).map(|reign| reign.until),
            last_sign: before.and_then(|reign| reign.last_beat).or(elected).map(|sign| sign.min(event.at)),
        });
    }
    changes
}

impl LeaderTerm {
    /// The part within a window.
    pub(super) fn within(mut self, window: Window) -> Option<Self> {
        (self.from, self.until) = window.clip((self.from, self.until))?;
        let touches = self.until > window.from || self.end == ReignEnd::Leads;
        touches.then_some(self)
    }
}
