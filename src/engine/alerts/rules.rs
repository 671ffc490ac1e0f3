//! Which events are alerts, and what they say.
//!
//! 1. A node that leaves in good order causes no alert.
//! 2. No clock is read here: events bring their time.
//!
//! Not here: who sends an alert (`watch.rs`).

use crate::cluster::event::{ClusterEvent, ClusterFact, LeftReason};
use crate::cluster::time::ServerTime;
use crate::config::{AlertKind, AlertsConfig};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// The time over which repeated changes count as flapping.
const FLAPPING_WINDOW: Duration = Duration::from_mins(10);
/// The maximum number of nodes whose departures are remembered.
const MAX_REMEMBERED: usize = 1_024;
/// The subject of what concerns the leadership.
const LEADERSHIP: &str = "leader";

/// An alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// What it is about.
    pub kind: AlertKind,
    /// The node, task or `leader` that it is about.
    pub subject: String,
    /// One sentence for people.
    pub text: String,
    /// When it happened, by the Redis server's clock.
    pub at: ServerTime,
}

impl Alert {
    /// An alert that only tries whether alerts arrive.
    #[must_use]
    pub fn test(at: ServerTime) -> Self {
        let text = "This is a test: alerts of this node arrive.".to_owned();
        Self { kind: AlertKind::Test, subject: "test".to_owned(), text, at }
    }

    /// Whether only this node knows of it.
    pub(super) fn is_local(&self) -> bool {
        matches!(self.kind, AlertKind::RedisUnavailable | AlertKind::Lag | AlertKind::Test)
    }
}

/// Remembers what rules need from earlier events.
#[derive(Debug)]
pub(super) struct Rules {
    on: Vec<AlertKind>,
    flapping: usize,
    lag: u64,
    /// When each subject changed, oldest first.
    changes: BTreeMap<String, VecDeque<ServerTime>>,
    lagged: bool,
}

impl Rules {
    pub(super) fn new(config: &AlertsConfig) -> Self {
        let flapping = usize::try_from(config.flapping).unwrap_or(usize::MAX);
        Self { on: config.on.clone(), flapping, lag: config.lag, changes: BTreeMap::new(), lagged: false }
    }

    pub(super) fn wants(&self, kind: AlertKind) -> bool {
        self.on.contains(&kind)
    }

    /// The alerts that an event of the cluster causes.
    pub(super) fn see(&mut self, event: &ClusterEvent) -> Vec<Alert> {
        let (node, at) = (event.node_id.as_str(), event.at);
        let alert = |kind, subject: &str, text| Some(Alert { kind, subject: subject.to_owned(), text, at });
        let (found, changed) = match &event.fact {
            ClusterFact::NodeLeft { reason, .. } => {
                let why = match reason {
                    LeftReason::Left | LeftReason::Replaced => None,
                    LeftReason::ProcessDied => Some("its process died"),
                    LeftReason::HeartbeatTimeout => Some("its heartbeats stopped"),
                    LeftReason::Other => Some("for a reason that only a newer version knows"),
                };
                let alert =
                    why.and_then(|why| alert(AlertKind::NodeLeft, node, format!("Node {node} is gone: {why}.")));
                (alert, why.map(|_| node))
            }
            ClusterFact::LeaderElected { leader_id, term, previous_leader_id, .. } => {
                let before = previous_leader_id.as_ref().map_or_else(String::new, |id| format!(" after {id}"));
                let text = format!("Node {leader_id} leads{before}, term {term}.");
                (alert(AlertKind::LeaderElected, leader_id.as_str(), text), Some(LEADERSHIP))
            }
            ClusterFact::LeaderLost { leader_id, term, .. } => {
                let text = format!("The leadership is vacant: node {leader_id} leads no more, term {term}.");
                (alert(AlertKind::LeaderLost, leader_id.as_str(), text), None)
            }
            ClusterFact::TaskDead { task_id, kind } => {
                let text =
                    format!("Task {task_id} of kind {kind} failed in all its attempts; the last was on node {node}.");
                (alert(AlertKind::TaskDead, task_id.as_str(), text), None)
            }
            _ => (None, None),
        };
        let flaps = changed.and_then(|subject| self.changed(subject, at));
        found.into_iter().chain(flaps).filter(|alert| self.wants(alert.kind)).collect()
    }

    /// Counts a change; returns an alert when there were too many.
    fn changed(&mut self, subject: &str, at: ServerTime) -> Option<Alert> {
        if self.changes.len() >= MAX_REMEMBERED && !self.changes.contains_key(subject) {
            self.changes.pop_first();
        }
        let times = self.changes.entry(subject.to_owned()).or_default();
        times.push_back(at);
        let since = at.0.saturating_sub(crate::cluster::time::millis(FLAPPING_WINDOW));
        while times.front().is_some_and(|first| first.0 < since) || times.len() > self.flapping {
            times.pop_front();
        }
        if times.len() < self.flapping {
            return None;
        }
        times.clear();
        let what = match subject {
            LEADERSHIP => "The leader changed".to_owned(),
            node => format!("Node {node} was lost"),
        };
        let text = format!("{what} {} times within ten minutes.", self.flapping);
        Some(Alert { kind: AlertKind::Flapping, subject: subject.to_owned(), text, at })
    }

    /// The alert that a number of unread messages causes: one each time it rises above the limit.
    pub(super) fn measure(&mut self, node: &str, lag: u64, at: ServerTime) -> Option<Alert> {
        let before = std::mem::replace(&mut self.lagged, lag > self.lag);
        if before || !self.lagged {
            return None;
        }
        let text = format!("Node {node} has {lag} unread messages; nobody receives them there.");
        Some(Alert { kind: AlertKind::Lag, subject: node.to_owned(), text, at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::event::ElectedReason;
    use crate::cluster::ids::{EventSeq, Incarnation, NodeId, Term};
    use crate::config::AlertFormat;

    fn rules(on: &[AlertKind]) -> Rules {
        Rules::new(&AlertsConfig {
            webhook: None,
            key: None,
            format: AlertFormat::Json,
            command: Vec::new(),
            on: on.to_vec(),
            cooldown: Duration::from_mins(5),
            lag: 100,
            flapping: 3,
        })
    }

    fn event(node: &str, at_s: u64, fact: ClusterFact) -> ClusterEvent {
        let (seq, at) = (EventSeq(at_s + 1), ServerTime(1_000_000 + 1_000 * at_s));
        ClusterEvent { seq, at, node_id: NodeId::new(node).unwrap(), fact }
    }

    fn left(node: &str, at_s: u64, reason: LeftReason) -> ClusterEvent {
        event(node, at_s, ClusterFact::NodeLeft { incarnation: Incarnation(1), reason })
    }

    #[test]
    fn a_dead_node_is_an_alert_and_one_that_left_is_none() {
        let mut rules = rules(&[AlertKind::NodeLeft]);
        for (reason, alerts) in [
            (LeftReason::ProcessDied, 1),
            (LeftReason::HeartbeatTimeout, 1),
            (LeftReason::Left, 0),
            (LeftReason::Replaced, 0),
        ] {
            assert_eq!(rules.see(&left("b", 0, reason)).len(), alerts, "{reason:?}");
        }
        let alert = rules.see(&left("c", 0, LeftReason::ProcessDied)).remove(0);
        assert_eq!((alert.subject.as_str(), alert.text.as_str()), ("c", "Node c is gone: its process died."));
        let elected = ClusterFact::LeaderElected {
            leader_id: NodeId::new("a").unwrap(),
            term: Term(7),
            previous_leader_id: None,
            reason: ElectedReason::Vacant,
        };
        assert!(rules.see(&event("a", 0, elected)).is_empty(), "it was not asked for");
    }

    #[test]
    fn three_departures_within_ten_minutes_are_flapping_once() {
        let mut rules = rules(&[AlertKind::Flapping]);
        let mut flaps = |node: &str, at_s: u64| rules.see(&left(node, at_s, LeftReason::ProcessDied)).len();
        assert_eq!([flaps("b", 0), flaps("b", 100), flaps("c", 150), flaps("b", 200)], [0, 0, 0, 1]);
        assert_eq!([flaps("b", 300), flaps("b", 400), flaps("b", 500)], [0, 0, 1], "it begins anew");
        assert_eq!([flaps("d", 0), flaps("d", 400), flaps("d", 800), flaps("d", 1_200)], [0, 0, 0, 0]);
    }

    #[test]
    fn a_lag_is_told_when_it_begins() {
        let mut rules = rules(&[AlertKind::Lag]);
        let mut told = |lag| rules.measure("a", lag, ServerTime(5)).is_some();
        assert_eq!([told(100), told(101), told(500), told(3), told(101)], [false, true, false, false, true]);
    }
}
