//! The lives of each node: when each began and ended, from events if they show it, else from heartbeats and the member's
//! row. A life is the time of one incarnation between a join and its end.
//!
//! 1. The lives of one node do not overlap; their incarnations rise.
//! 2. An incarnation may end and begin again: a member that was only late. These are two lives here.
//!
//! Not here: the window (lives may begin before it), the figures about a node (`node.rs`).

use super::{Evidence, Gone, SILENT, Summaries, Window};
use crate::cluster::event::{ClusterEvent, ClusterFact, LeftReason};
use crate::cluster::ids::{Incarnation, NodeId};
use crate::cluster::members::member::{Member, StoredStatus};
use crate::cluster::time::ServerTime;
use std::collections::BTreeMap;
use std::time::Duration;

/// One life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Instance {
    pub(super) incarnation: Incarnation,
    pub(super) from: ServerTime,
    pub(super) to: ServerTime,
    /// Why it ended; `None`: it continues.
    pub(super) end: Option<Gone>,
}

/// What is known about one life.
#[derive(Debug, Clone, Copy, Default)]
struct Traces {
    joined: Option<ServerTime>,
    left: Option<(ServerTime, Gone)>,
    /// The first and the last heartbeat.
    beats: Option<(ServerTime, ServerTime)>,
}

/// The lives of every node with any evidence, in order of time.
pub(super) fn lives(
    window: Window,
    evidence: &Evidence<'_>,
    summaries: &Summaries<'_>,
    events: &[ClusterEvent],
) -> BTreeMap<NodeId, Vec<Instance>> {
    let mut nodes: BTreeMap<&NodeId, BTreeMap<Incarnation, Vec<Traces>>> = BTreeMap::new();
    for event in events {
        match event.fact {
            ClusterFact::NodeJoined { incarnation, .. } => {
                let parts = nodes.entry(&event.node_id).or_default().entry(incarnation).or_default();
                if parts.last().is_none_or(|part| part.left.is_some()) {
                    parts.push(Traces { joined: Some(event.at), ..Traces::default() });
                }
            }
            ClusterFact::NodeLeft { incarnation, reason } => {
                let parts = nodes.entry(&event.node_id).or_default().entry(incarnation).or_default();
                if parts.is_empty() {
                    parts.push(Traces::default());
                }
                if let Some(part) = parts.last_mut().filter(|part| part.left.is_none()) {
                    part.left = Some((event.at, gone(reason)));
                }
            }
            _ => {}
        }
    }
    for summary in evidence.summaries {
        let parts = nodes.entry(&summary.node_id).or_default().entry(summary.incarnation).or_default();
        take_beats(parts, summary.first_at.min(window.to), summary.last_at.min(window.to));
    }
    for row in evidence.members.unwrap_or_default() {
        let parts = nodes.entry(&row.node_id).or_default().entry(row.incarnation).or_default();
        if parts.is_empty() {
            parts.push(Traces::default());
        }
    }
    let record = events.first().map(|event| event.at);
    let interval = |id| {
        let newest = summaries.get(id).into_iter().flatten().max_by_key(|summary| summary.last_at);
        newest.map(|summary| summary.interval).or(evidence.interval)
    };
    nodes
        .into_iter()
        .map(|(id, lives)| (id.clone(), settle(window, evidence, record, interval(id), (id, lives))))
        .collect()
}

/// Assigns heartbeats to the lives of an incarnation: each to the last life that began before it.
fn take_beats(parts: &mut Vec<Traces>, first: ServerTime, last: ServerTime) {
    if parts.is_empty() {
        parts.push(Traces::default());
    }
    for beat in [first, last] {
        let at = parts.iter().rposition(|part| part.joined.is_none_or(|joined| joined <= beat)).unwrap_or(0);
        if let Some(part) = parts.get_mut(at) {
            let (first, last) = part.beats.unwrap_or((beat, beat));
            part.beats = Some((first.min(beat), last.max(beat)));
        }
    }
}

/// Computes spans from the evidence.
fn settle(
    window: Window,
    evidence: &Evidence<'_>,
    record: Option<ServerTime>,
    interval: Option<Duration>,
    (id, lives): (&NodeId, BTreeMap<Incarnation, Vec<Traces>>),
) -> Vec<Instance> {
    let row = evidence.members.unwrap_or_default().iter().find(|row| row.node_id == *id);
    let all: Vec<(Incarnation, Traces)> = lives
        .into_iter()
        .flat_map(|(incarnation, parts)| parts.into_iter().map(move |part| (incarnation, part)))
        .collect();
    let rows: Vec<Option<&Member>> = (0..all.len())
        .map(|at| {
            let (incarnation, _) = all.get(at)?;
            let newest_part = all.get(at + 1).is_none_or(|(next, _)| next != incarnation);
            row.filter(|row| row.incarnation == *incarnation && newest_part)
        })
        .collect();
    let begins: Vec<ServerTime> = all
        .iter()
        .zip(&rows)
        .enumerate()
        .map(|(at, ((_, traces), row))| began(traces, *row, if at == 0 { record } else { None }).min(window.to))
        .collect();
    let mut settled: Vec<Instance> = Vec::with_capacity(all.len());
    for (at, (incarnation, traces)) in all.iter().enumerate() {
        let floor = settled.last().map_or(ServerTime(0), |instance| instance.to);
        let from = begins.get(at).copied().unwrap_or(window.to).max(floor);
        let row = rows.get(at).copied().flatten();
        let (to, end) = match begins.get(at + 1) {
            Some(next) => ended(traces, *next),
            None => last_end(window, evidence, interval, from, traces, row),
        };
        settled.push(Instance { incarnation: *incarnation, from, to: to.max(from).min(window.to), end });
    }
    settled
}

/// The latest possible beginning of a life.
fn began(traces: &Traces, row: Option<&Member>, record: Option<ServerTime>) -> ServerTime {
    if let Some(joined) = traces.joined {
        return joined;
    }
    let first = traces.beats.map(|(first, _)| first);
    if let Some(row) = row {
        return first.map_or(row.joined_at, |first| first.min(row.joined_at));
    }
    // A node that left, and whose join is not recorded, was there when the record of events begins.
    let record = record.filter(|_| traces.left.is_some());
    let left = traces.left.map(|(at, _)| at);
    [first, record, left].into_iter().flatten().min().unwrap_or_default()
}

/// How a life ended that was followed by another one at `next`.
fn ended(traces: &Traces, next: ServerTime) -> (ServerTime, Option<Gone>) {
    match (traces.left, traces.beats) {
        (Some((at, reason)), _) => (at.min(next), Some(reason)),
        (None, Some((_, last))) => (last.min(next), Some(Gone::Unknown)),
        (None, None) => (next, Some(Gone::Unknown)),
    }
}

/// How the last life of a node ended, if it did.
fn last_end(
    window: Window,
    evidence: &Evidence<'_>,
    interval: Option<Duration>,
    from: ServerTime,
    traces: &Traces,
    row: Option<&Member>,
) -> (ServerTime, Option<Gone>) {
    let seen = row.map(|row| row.last_seen.min(window.to));
    let beat = traces.beats.map(|(_, last)| last);
    let sign = [Some(from), seen, beat].into_iter().flatten().max().unwrap_or(from);
    match (traces.left, row) {
        (Some((at, reason)), row) if row.is_none_or(|row| !row.is_live()) => (at, Some(reason)),
        (_, Some(row)) if row.status == StoredStatus::Left => (sign, Some(Gone::Left)),
        (_, Some(row)) if !row.is_live() => (sign, Some(Gone::Unknown)),
        // The cluster does not know the node any more.
        (_, None) if evidence.members.is_some() => (sign, Some(Gone::Unknown)),
        _ if window.to.since(sign) > silence_limit(interval, seen.or(beat).is_some()) => (sign, Some(Gone::Silent)),
        _ => (window.to, None),
    }
}

/// How long after its last sign a member is assumed to be alive.
fn silence_limit(interval: Option<Duration>, signs: bool) -> Duration {
    // Without evidence of its last sign, silence proves nothing.
    interval.filter(|_| signs).map_or(Duration::MAX, |interval| interval.mul_f64(SILENT))
}

fn gone(reason: LeftReason) -> Gone {
    match reason {
        LeftReason::Left => Gone::Left,
        LeftReason::HeartbeatTimeout => Gone::HeartbeatTimeout,
        LeftReason::ProcessDied => Gone::ProcessDied,
        LeftReason::Replaced => Gone::Replaced,
        LeftReason::Other => Gone::Unknown,
    }
}
