//! S1, S2 and S3 over numbered messages.

use super::Case;
use crate::faults::Kind;
use crate::history::{Delivery, History, Received, Sent};
use crate::slot::place_of;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use testkit::Stamp;

/// What is wrong.
pub fn judge(case: &Case<'_>) -> Vec<String> {
    let (sent, received) = (case.history.sent().clone(), case.history.received().clone());
    let nodes: Vec<usize> = (0..case.plan.nodes.len()).collect();
    let other = case.history.other_versions(case.plan);
    let mut problems: Vec<String> =
        missing(case.history, &nodes, &other).into_iter().map(|what| format!("S1: {what}")).collect();
    let known: HashMap<&str, &Sent> = sent.values().flatten().map(|sent| (sent.id.as_str(), sent)).collect();
    for (place, mine) in &received {
        problems.extend(strangers(*place, mine, &known));
        problems.extend(twice(*place, mine));
        problems.extend(order(*place, mine));
    }
    problems.extend(idle_gaps(case, &received));
    if !case.history.had(&[Kind::LostTail, Kind::Promote, Kind::StalePromote]) {
        problems.extend(one_order(&received));
    }
    problems
}

/// Accepted messages that one of these nodes neither got nor was told to have lost, so far.
pub fn missing(history: &History, nodes: &[usize], other: &BTreeSet<usize>) -> Vec<String> {
    let (sent, received, taken) = (history.sent(), history.received(), taken_over(history));
    let mut places: HashMap<&str, BTreeSet<u64>> = HashMap::new();
    let mut got: Vec<BTreeSet<&str>> =
        vec![BTreeSet::new(); received.keys().chain(nodes).max().map_or(0, |last| last + 1)];
    for (place, mine) in received.iter() {
        for delivery in &mine.deliveries {
            places.entry(&delivery.id).or_default().insert(delivery.seq);
            got[*place].insert(&delivery.id);
        }
    }
    let none = Received::default();
    let mut problems = Vec::new();
    for (sender, message) in sent.iter().flat_map(|(sender, all)| all.iter().map(move |message| (*sender, message))) {
        let Some(accepted) = message.accepted else { continue };
        for place in nodes.iter().copied().filter(|place| *place != sender) {
            if message.to.as_ref().is_some_and(|to| !to.contains(&place)) || got[place].contains(message.id.as_str()) {
                continue;
            }
            if taken.get(&place).is_some_and(|until| message.at <= *until) {
                continue;
            }
            let seqs = places.get(message.id.as_str());
            // In the outbox of another version's node, which may have been expelled for good.
            if seqs.is_none() && other.contains(&sender) {
                continue;
            }
            let gaps = &received.get(&place).unwrap_or(&none).gaps;
            // One whose place nobody knows may have been lost with any gap that was told after it was sent.
            let covered = gaps.iter().any(|(from, to, at)| {
                *at >= message.at && seqs.is_none_or(|seqs| seqs.iter().any(|seq| (from..=to).contains(&seq)))
            });
            if !covered {
                problems.push(format!(
                    "n{place} never got {} (at {seqs:?}, accepted at {accepted:?}), and no gap covers it",
                    message.id
                ));
            }
        }
    }
    problems
}

/// Until when what was meant for a node may have been another's: where data was lost, a process with a fresh state directory that
/// joined under the node's id begins at the newest message, and its cursor is the id's from then on.
fn taken_over(history: &History) -> BTreeMap<usize, Stamp> {
    let first_loss = history.losses(Stamp::ZERO).into_iter().map(|(from, _)| from).min();
    let mut until = BTreeMap::new();
    for a in history.applied().iter().filter(|a| matches!(a.fault.kind, Kind::Impostor | Kind::ForcedImpostor)) {
        if let (Some(place), true) = (a.place, first_loss.is_some_and(|loss| loss <= a.ended)) {
            let end = until.entry(place).or_insert(a.ended);
            *end = a.ended.max(*end);
        }
    }
    until
}

/// Gaps that were told though nothing was lost, nor had to make room.
fn idle_gaps(case: &Case<'_>, received: &BTreeMap<usize, Received>) -> Vec<String> {
    if case.history.applied().iter().any(|a| a.fault.kind.loses_data() || a.fault.kind == Kind::FullRedis) {
        return Vec::new();
    }
    // Positions jump with a new server process. A sender of the version before counts positions for messages, and trims what was not read yet.
    if case.plan.mixes_versions() && case.history.had(&[Kind::RedisRestart]) {
        return Vec::new();
    }
    let gaps = received.iter().flat_map(|(place, mine)| mine.gaps.iter().map(move |gap| (place, gap)));
    gaps.map(|(place, (from, to, _))| {
        format!("S1: n{place} was told a gap from {from} to {to}, though nothing was lost")
    })
    .collect()
}

/// Messages that nobody sent, that were for others, or that come from the receiver itself.
fn strangers(place: usize, mine: &Received, known: &HashMap<&str, &Sent>) -> Vec<String> {
    let mut problems = Vec::new();
    for delivery in &mine.deliveries {
        match known.get(delivery.id.as_str()) {
            None => problems.push(format!("S1: n{place} got {}, which nobody sent", delivery.id)),
            Some(sent) if sent.to.as_ref().is_some_and(|to| !to.contains(&place)) => {
                problems.push(format!("S1: n{place} got {}, which was for {:?}", delivery.id, sent.to));
            }
            Some(_) if place_of(&delivery.id) == Some(place) => {
                problems.push(format!("S2: n{place} got its own {}", delivery.id));
            }
            Some(_) => {}
        }
    }
    problems
}

/// Messages that came again although their acknowledgement had been answered before they were asked for.
fn twice(place: usize, mine: &Received) -> Vec<String> {
    // For each message the time from which on it must not come again.
    let mut done: HashMap<&str, Stamp> = HashMap::new();
    let mut first: HashMap<&str, &Delivery> = HashMap::new();
    let mut problems = Vec::new();
    let mut acks = mine.acked.iter().peekable();
    let mut open: Vec<&Delivery> = Vec::new();
    for delivery in &mine.deliveries {
        while let Some((cursor, at)) = acks.next_if(|(_, at)| *at <= delivery.asked) {
            // What was told as lost before is not what the receiver acknowledges: it may come again at another position.
            let lost = |open: &Delivery| {
                mine.gaps
                    .iter()
                    .any(|(from, to, told)| *told <= *at && open.at <= *told && (from..=to).contains(&&open.seq))
            };
            let (now, later): (Vec<_>, Vec<_>) =
                open.into_iter().filter(|open| !lost(open)).partition(|open| open.seq <= *cursor && open.at <= *at);
            for delivery in now {
                done.entry(&delivery.id).or_insert(*at);
            }
            open = later;
        }
        if let Some(at) = done.get(delivery.id.as_str()) {
            let before = first.get(delivery.id.as_str()).map_or(0, |first| first.seq);
            problems.push(format!(
                "S2: n{place} got {} ({}, earlier {before}) asked for at {:?}, after its acknowledgement was answered at {at:?}",
                delivery.id, delivery.seq, delivery.asked
            ));
        }
        first.entry(&delivery.id).or_insert(delivery);
        open.push(delivery);
    }
    problems
}

/// Each receiver sees rising positions, and each sender's messages in the order of sending.
fn order(place: usize, mine: &Received) -> Vec<String> {
    let mut problems = Vec::new();
    let (mut seen, mut top): (BTreeSet<&str>, Option<&Delivery>) = (BTreeSet::new(), None);
    let mut last: BTreeMap<&str, &str> = BTreeMap::new();
    for delivery in &mine.deliveries {
        if !seen.insert(&delivery.id) {
            continue;
        }
        if let Some(top) = top.filter(|top| top.seq >= delivery.seq) {
            problems
                .push(format!("S3: n{place} got {} ({}) after {} ({})", delivery.id, delivery.seq, top.id, top.seq));
        }
        top = Some(delivery);
        let sender = delivery.id.split('-').next().unwrap_or_default();
        // Numbers have leading zeros, so texts compare as numbers.
        if let Some(before) = last.insert(sender, &delivery.id).filter(|before| *before >= delivery.id.as_str()) {
            problems.push(format!("S3: n{place} got {} after {before}", delivery.id));
        }
    }
    problems
}

/// No position is two messages.
fn one_order(received: &BTreeMap<usize, Received>) -> Vec<String> {
    let mut known: HashMap<u64, (&str, usize)> = HashMap::new();
    let mut problems = Vec::new();
    for (place, delivery) in received.iter().flat_map(|(place, mine)| mine.deliveries.iter().map(move |d| (*place, d)))
    {
        let (id, first) = *known.entry(delivery.seq).or_insert((&delivery.id, place));
        if id != delivery.id {
            problems.push(format!("S3: {} is {id} to n{first} and {} to n{place}", delivery.seq, delivery.id));
        }
    }
    problems
}
