//! Judges over histories: what nodes were seen to say and do, checked against the invariants E1, E2, M1 and S1 to S3.
//!
//! 1. A verdict is definite: a history that a correct cluster could have made is never refused.
//! 2. All problems are reported, not only the first.
//!
//! Not here: making histories (the tests), histories that must be refused (`checker_tests.rs`).

use crate::wait::Stamp;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What a checker found wrong.
pub type Problems = Vec<String>;

/// Fails the test when something was found.
#[track_caller]
pub fn judge(what: &str, problems: &Problems) {
    let shown: Vec<&str> = problems.iter().take(20).map(String::as_str).collect();
    assert!(problems.is_empty(), "{what}: {} problems:\n{}", problems.len(), shown.join("\n"));
}

/// One answer about a node's role. At some instant between the two stamps the node believed what it says.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Who said it.
    pub node: String,
    /// Before the question was written.
    pub sent: Stamp,
    /// After the answer was read.
    pub answered: Stamp,
    /// Whether it said `"leader"`.
    pub leads: bool,
    /// The term it named.
    pub term: u64,
}

/// E1 and E2 over samples: no term is led by two nodes, and nobody leads under a term after a higher one was led.
///
/// Two answers that overlap in time prove nothing. An older term's leader that is asked after the answer of a newer
/// term's leader was read does: then both led at once.
pub fn one_leader(samples: &[Sample]) -> Problems {
    let mut problems = Problems::new();
    let leading: Vec<&Sample> = samples.iter().filter(|sample| sample.leads).collect();
    let mut holders: BTreeMap<u64, &Sample> = BTreeMap::new();
    let mut proven: BTreeMap<u64, &Sample> = BTreeMap::new();
    for &sample in &leading {
        let holder = holders.entry(sample.term).or_insert(sample);
        if holder.node != sample.node {
            problems.push(format!("term {} is led by {} and by {}", sample.term, holder.node, sample.node));
        }
        let first = proven.entry(sample.term).or_insert(sample);
        if sample.answered < first.answered {
            *first = sample;
        }
    }
    for &old in &leading {
        let newer = proven.range(old.term + 1..).map(|(_, new)| *new).find(|new| new.answered < old.sent);
        if let Some(new) = newer {
            problems.push(format!(
                "{} leads term {} at {:?}, after {} led term {} at {:?}",
                old.node, old.term, old.sent, new.node, new.term, new.answered
            ));
        }
    }
    problems
}

/// E2 over events: terms only rise, each granted once.
pub fn rising_terms(events: &[Value]) -> Problems {
    let elected: Vec<&Value> = events.iter().filter(|event| event["event"] == "cluster.leader_elected").collect();
    let rises = |pair: &[&Value]| pair[0]["term"].as_u64() < pair[1]["term"].as_u64();
    let bad = elected.windows(2).filter(|pair| !rises(pair));
    bad.map(|pair| format!("term {} is followed by {}", pair[0]["term"], pair[1]["term"])).collect()
}

/// M1: each node's events have contiguous `seq`, but for what a `cluster.gap` names, and no two nodes tell one `seq` apart.
pub fn same_events(seen: &BTreeMap<String, Vec<Value>>) -> Problems {
    let mut problems = Problems::new();
    let mut known: BTreeMap<u64, (&str, &Value)> = BTreeMap::new();
    for (node, events) in seen {
        let mut next: Option<u64> = None;
        for event in events {
            if event["event"] == "cluster.gap" {
                let (from, to) = (event["from_seq"].as_u64(), event["to_seq"].as_u64());
                if next.is_some() && next != from {
                    problems.push(format!("{node}: a gap from {from:?} where {next:?} was due"));
                }
                next = to.map(|to| to + 1);
                continue;
            }
            let Some(seq) = event["seq"].as_u64() else { continue };
            if next.is_some_and(|due| due != seq) {
                problems.push(format!("{node}: seq {seq} where {next:?} was due"));
            }
            next = Some(seq + 1);
            let (first, same) = *known.entry(seq).or_insert((node, event));
            if same != event {
                problems.push(format!("seq {seq}: {first} saw {same}, {node} saw {event}"));
            }
        }
    }
    problems
}

/// A message as a node acknowledged it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The number in its `entry_id`.
    pub seq: u64,
    /// Its id.
    pub id: String,
    /// Its sender.
    pub from: String,
}

impl Taken {
    /// Reads one element of `received`.
    pub fn read(received: &Value) -> Self {
        let text =
            |field: &str| received[field].as_str().unwrap_or_else(|| panic!("no {field} in {received}")).to_owned();
        Self { seq: entry_seq(&text("entry_id")), id: text("id"), from: text("from") }
    }
}

/// The number of an `entry_id` or cursor, which reads `<seq>-0`.
pub fn entry_seq(entry_id: &str) -> u64 {
    let number = entry_id.strip_suffix("-0").and_then(|number| number.parse().ok());
    number.unwrap_or_else(|| panic!("no entry id: {entry_id:?}"))
}

/// What went into the cluster and what came out of it.
#[derive(Debug, Clone, Default)]
pub struct Traffic {
    /// The ids that each node sent and that were accepted, in the order of sending.
    pub sent: BTreeMap<String, Vec<String>>,
    /// What each node acknowledged, in that order.
    pub taken: BTreeMap<String, Vec<Taken>>,
    /// Per node the ranges (both ends included) that it was told it lost.
    pub gaps: BTreeMap<String, Vec<(u64, u64)>>,
}

impl Traffic {
    /// S1, S2 and S3 for messages to everyone: all others take each message once, in one order, which keeps each
    /// sender's own; what is missing lies in a reported gap.
    pub fn problems(&self) -> Problems {
        let mut problems = Problems::new();
        let mut places: HashMap<u64, &Taken> = HashMap::new();
        for (node, taken) in &self.taken {
            for pair in taken.windows(2).filter(|pair| pair[0].seq >= pair[1].seq) {
                problems.push(format!("S3: {node} took {:?} and then {:?}", pair[0], pair[1]));
            }
            let mut ids = BTreeSet::new();
            for message in taken {
                if message.from == *node {
                    problems.push(format!("S2: {node} was handed its own {message:?}"));
                }
                if !ids.insert((&message.from, &message.id)) {
                    problems.push(format!("S2: {node} took {message:?} twice"));
                }
                let first = *places.entry(message.seq).or_insert(message);
                if first != message {
                    problems.push(format!("S3: {} is {first:?} to one node and {message:?} to {node}", message.seq));
                }
            }
        }
        self.check_senders(&places, &mut problems);
        problems
    }

    fn check_senders(&self, places: &HashMap<u64, &Taken>, problems: &mut Problems) {
        let seq_of: HashMap<(&str, &str), u64> =
            places.values().map(|taken| ((taken.from.as_str(), taken.id.as_str()), taken.seq)).collect();
        for (sender, sent) in &self.sent {
            let all: BTreeSet<&str> = sent.iter().map(String::as_str).collect();
            let found: Vec<u64> =
                sent.iter().filter_map(|id| seq_of.get(&(sender.as_str(), id.as_str())).copied()).collect();
            if found.windows(2).any(|pair| pair[0] >= pair[1]) {
                problems.push(format!("S3: the messages of {sender} are not in the order it sent them"));
            }
            for (node, taken) in self.taken.iter().filter(|(node, _)| *node != sender) {
                let got: BTreeSet<&str> = taken.iter().filter(|m| m.from == *sender).map(|m| m.id.as_str()).collect();
                for id in all.difference(&got) {
                    let seq = seq_of.get(&(sender.as_str(), *id));
                    if !self.in_gap(node, seq.copied()) {
                        problems
                            .push(format!("S1: {node} never took {id} of {sender} ({seq:?}), and no gap covers it"));
                    }
                }
                for id in got.difference(&all) {
                    problems.push(format!("S1: {node} took {id} of {sender}, which never sent it"));
                }
            }
        }
    }

    /// A message whose place nobody knows may have been lost with any gap.
    fn in_gap(&self, node: &str, seq: Option<u64>) -> bool {
        let gaps = self.gaps.get(node).map_or(&[][..], Vec::as_slice);
        gaps.iter().any(|&(from, to)| seq.is_none_or(|seq| (from..=to).contains(&seq)))
    }
}
