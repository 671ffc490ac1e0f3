//! M1, M2 and E2 over the events that subscribers read.

use super::Case;
use crate::faults::Kind;
use crate::history::{Told, touches};
use crate::slot::place_of;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use testkit::checker::{rising_terms, same_events};

/// What is wrong.
pub fn judge(case: &Case<'_>) -> Vec<String> {
    let told = case.history.events().clone();
    let mut problems = Vec::new();
    // Another version may show more or fewer fields of an event.
    let fields = case.plan.mixes_versions();
    let show = |told: &Told| {
        let event = &told.event;
        let common = || {
            json!({"seq": event["seq"], "event": event["event"], "node_id": event["node_id"], "term": event["term"],
            "from_seq": event["from_seq"], "to_seq": event["to_seq"]})
        };
        if fields { common() } else { event.clone() }
    };
    let plain = |told: &[Told]| told.iter().map(show).collect::<Vec<Value>>();
    for (node, told) in &told {
        if !case.history.numbers_may_fall() {
            problems.extend(rising_terms(&plain(told)).into_iter().map(|problem| format!("E2: to {node}: {problem}")));
            problems.extend(rising_lives(node, told));
        }
    }
    // Where the newest numbers may be given again, each subscriber is judged by itself.
    let again = case.history.had(&[Kind::LostTail, Kind::Promote, Kind::StalePromote]);
    let seen: BTreeMap<String, Vec<Value>> = told.iter().map(|(node, told)| (node.clone(), plain(told))).collect();
    let groups: Vec<BTreeMap<String, Vec<Value>>> =
        if again { seen.into_iter().map(|one| BTreeMap::from([one])).collect() } else { vec![seen] };
    for group in &groups {
        problems.extend(same_events(group).into_iter().map(|problem| format!("M1: {problem}")));
    }
    problems.extend(left(case, &told));
    if !case.history.applied().iter().any(|a| a.fault.kind.loses_data()) {
        let gaps = told.iter().flat_map(|(node, told)| told.iter().map(move |told| (node, &told.event)));
        let gaps = gaps.filter(|(_, event)| event["event"] == "cluster.gap");
        problems.extend(gaps.map(|(node, gap)| format!("M1: {node} was told {gap}, though nothing was lost")));
    }
    problems
}

/// M3: the lives of a node id have rising numbers; one that was declared dead may join again as it was.
fn rising_lives(node: &str, told: &[Told]) -> Vec<String> {
    let mut problems = Vec::new();
    let mut last: BTreeMap<&str, u64> = BTreeMap::new();
    for event in told.iter().map(|told| &told.event).filter(|event| event["event"] == "cluster.node_joined") {
        let (Some(id), Some(instance)) = (event["node_id"].as_str(), event["incarnation"].as_u64()) else { continue };
        if last.insert(id, instance).is_some_and(|before| before > instance) {
            problems.push(format!("M3: to {node}: {id} joined as {instance}, after a life with a higher number"));
        }
    }
    problems
}

/// Whether the id comes back as another life: then the one that left had ended before, however long its deadline stood off. One that
/// lives and was declared dead comes back as it was.
fn comes_back_later(left: &Told, all: &[Told]) -> bool {
    let seq = |told: &Told| told.event["seq"].as_u64().unwrap_or_default();
    let joins = all.iter().filter(|told| told.event["event"] == "cluster.node_joined");
    let next = joins
        .filter(|told| told.event["node_id"] == left.event["node_id"] && seq(told) > seq(left))
        .min_by_key(|told| seq(told));
    next.is_some_and(|next| next.event["incarnation"] != left.event["incarnation"])
}

/// M2: whoever is told to have left had something happen to it. A reader to which nothing happened reads an event soon.
fn left(case: &Case<'_>, told: &BTreeMap<String, Vec<Told>>) -> Vec<String> {
    const SOON: Duration = Duration::from_millis(500);
    let mut problems = BTreeMap::new();
    for (reader, all, told) in told.iter().flat_map(|(reader, all)| all.iter().map(move |told| (reader, all, told))) {
        let text = |field: &str| told.event[field].as_str().unwrap_or_default();
        let (id, reason) = (text("node_id"), text("reason"));
        let died = told.event["event"] == "cluster.node_left" && matches!(reason, "heartbeat_timeout" | "process_died");
        let Some(place) = place_of(id).filter(|_| died && !comes_back_later(told, all)) else { continue };
        let undisturbed =
            |place| !touches(&case.history.risks(place, false, case.settle), told.at.saturating_sub(SOON), told.at);
        if undisturbed(Some(place)) && place_of(reader).is_some_and(|reader| undisturbed(Some(reader))) {
            let text =
                format!("M2: {id} was told to have left ({reason}) at {:?}, though nothing happened to it", told.at);
            problems.entry(told.event["seq"].as_u64()).or_insert(text);
        }
    }
    problems.into_values().collect()
}
