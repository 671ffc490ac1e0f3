//! The figures about a node: when it was online, which heartbeats it missed, how fast it was.
//!
//! Not here: when its lives began and ended (`lives.rs`).

use super::lives::Instance;
use super::{Absence, Evidence, FLAP, Gap, Gone, NodeReport, Standing, Stay, Window};
use crate::cluster::event::{ClusterEvent, ClusterFact};
use crate::cluster::history::{Between, Histogram, MOST_SPANS, Summary};
use crate::cluster::ids::NodeId;
use crate::cluster::members::member::Member;
use crate::cluster::time::ServerTime;
use std::time::Duration;

/// The number of intervals without a heartbeat at the end of the window from which they count as a gap: one and a half as
/// anywhere else, and one more because the newest heartbeat may be recorded together with the next one.
const OPEN_GAP: f64 = 2.5;

/// The report about one node; `None`: it was not a member within the window.
pub(super) fn report(
    window: Window,
    id: &NodeId,
    lives: &[Instance],
    summaries: &[&Summary],
    evidence: &Evidence<'_>,
    events: &[ClusterEvent],
) -> Option<NodeReport> {
    let online = stays(window, lives);
    let away = absences(window, lives);
    let row = evidence.members.unwrap_or_default().iter().find(|row| row.node_id == *id);
    let forgotten = evidence.members.is_some() && row.is_none();
    // A node that was away all the time is shown while it is missed: it is down, and not forgotten yet.
    if online.is_empty() && !away.iter().any(|absence| absence.back || absence.is_down() && !forgotten) {
        return None;
    }
    let mut summaries: Vec<&Summary> = summaries.to_vec();
    summaries.sort_by_key(|summary| (summary.incarnation, summary.last_number, summary.from));
    let mut delays = Histogram::default();
    let mut round_trips = Histogram::default();
    let mut versions: Vec<String> = Vec::new();
    for summary in &summaries {
        delays.merge(&summary.delays);
        round_trips.merge(&summary.round_trips);
        take_version(&mut versions, &summary.version);
    }
    if let Some(row) = row {
        take_version(&mut versions, &row.metadata.version);
    }
    let standing = match lives.last().and_then(|instance| instance.end) {
        None => Standing::Online,
        Some(Gone::Left) => Standing::Left,
        Some(_) => Standing::Offline,
    };
    Some(NodeReport {
        node_id: id.clone(),
        name: name(id, row, events),
        now: standing,
        gaps: gaps(window, lives, &summaries, row),
        gaps_cut: summaries.iter().any(|summary| summary.gaps.len() >= MOST_SPANS),
        online,
        away,
        beats: summaries.iter().map(|summary| summary.beats).sum(),
        retried: summaries.iter().map(|summary| summary.retried).sum(),
        delays,
        longest_delay: summaries.iter().map(|summary| summary.longest_delay).max().unwrap_or_default(),
        round_trips,
        versions,
    })
}

fn take_version(versions: &mut Vec<String>, version: &str) {
    if !version.is_empty() && versions.last().is_none_or(|last| last != version) {
        versions.retain(|known| known != version);
        versions.push(version.to_owned());
    }
}

fn name(id: &NodeId, row: Option<&Member>, events: &[ClusterEvent]) -> String {
    let from_event = || {
        events.iter().rev().filter(|event| event.node_id == *id).find_map(|event| match &event.fact {
            ClusterFact::NodeJoined { name, .. } => Some(name.clone()),
            _ => None,
        })
    };
    let name = row.map(|row| row.metadata.name.clone()).or_else(from_event).filter(|name| !name.is_empty());
    name.unwrap_or_else(|| id.as_str().to_owned())
}

fn stays(window: Window, lives: &[Instance]) -> Vec<Stay> {
    let within = |instance: &Instance| {
        let (from, to) = window.clip((instance.from, instance.to))?;
        // A life that ended exactly at the start of the window was not in it.
        (to > window.from || instance.end.is_none()).then_some(Stay { from, to, incarnation: instance.incarnation })
    };
    lives.iter().filter_map(within).collect()
}

fn absences(window: Window, lives: &[Instance]) -> Vec<Absence> {
    let absence = |(at, instance): (usize, &Instance)| {
        let reason = instance.end?;
        let next = lives.get(at + 1);
        let until = next.map_or(window.to, |next| next.from);
        let (from, to) = window.clip((instance.to, until))?;
        // Without an event that shows an end, and without time in between, there was no absence.
        let nothing = reason == Gone::Unknown && from == to;
        let back = next.is_some();
        let known = !matches!(reason, Gone::Left | Gone::Replaced | Gone::Unknown | Gone::Silent);
        let flap = known && back && until.since(instance.to) <= FLAP;
        (!nothing).then_some(Absence { from, to, reason, back, flap })
    };
    lives.iter().enumerate().filter_map(absence).collect()
}

/// The gaps within one life; an absence covers what is around it.
fn gaps(window: Window, lives: &[Instance], summaries: &[&Summary], row: Option<&Member>) -> Vec<Gap> {
    let mut gaps = Vec::new();
    let in_one_life = |(from, to): Between| lives.iter().any(|instance| instance.from <= from && to <= instance.to);
    let mut add = |span: Between, interval: Duration| {
        if span.1 > span.0
            && in_one_life(span)
            && let Some((from, to)) = window.clip(span).filter(|(from, to)| from < to)
        {
            gaps.push(Gap { from, to, missed: missed(span, interval) });
        }
    };
    for summary in summaries {
        summary.gaps.iter().for_each(|span| add(*span, summary.interval));
    }
    if let (Some(instance), Some(summary)) = (lives.last(), summaries.iter().max_by_key(|summary| summary.last_at))
        && instance.end.is_none()
        && instance.incarnation == summary.incarnation
    {
        let seen = row.filter(|row| row.incarnation == instance.incarnation).map_or(ServerTime(0), |row| row.last_seen);
        let last = summary.last_at.max(seen).min(window.to);
        if window.to.since(last) >= summary.interval.mul_f64(OPEN_GAP) {
            add((last, window.to), summary.interval);
        }
    }
    gaps.sort_by_key(|gap| (gap.from, gap.to));
    gaps.dedup_by_key(|gap| (gap.from, gap.to));
    gaps
}

fn missed((from, to): Between, interval: Duration) -> u64 {
    let beats = to.since(from).as_secs_f64() / interval.as_secs_f64().max(0.001);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let beats = beats.round() as u64;
    beats.saturating_sub(1).max(1)
}
