//! What a session keeps of the cluster's events, and what its host wants to hear of.
//!
//! 1. At most [`MOST_EVENTS`] events are kept, the latest.
//!
//! Not here: telling the host (`herald.rs`).

// Log messages are what the protocol has up to 2025-11-25.
#![allow(deprecated)]

use rmcp::model::LoggingLevel;
use rmcp::service::{Peer, RoleServer};
use serde_json::Value;
use std::collections::{BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// How many events a session keeps.
pub(super) const MOST_EVENTS: usize = 256;

/// Something that the host may want to hear of.
#[derive(Debug, Clone, PartialEq)]
pub enum HostNotice {
    /// An event of the node, in the form of `cluster.subscribe`.
    Event(Value),
    /// An event from before the session began: kept, not told.
    Earlier(Value),
    /// The session was attached to a node, which may show another state than the one before.
    Attached,
}

/// One of the two resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Topic {
    /// The cluster as the node sees it.
    State,
    /// The latest events.
    Events,
}

impl Topic {
    pub(super) const ALL: [Self; 2] = [Self::State, Self::Events];

    pub(super) fn uri(self) -> &'static str {
        match self {
            Self::State => "cluster://state",
            Self::Events => "cluster://events",
        }
    }

    pub(super) fn of(uri: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|topic| topic.uri() == uri)
    }
}

#[derive(Debug)]
struct Kept {
    events: VecDeque<Value>,
    wanted: BTreeSet<Topic>,
    level: LoggingLevel,
}

/// See the module's text.
#[derive(Debug)]
pub(super) struct Record {
    kept: Mutex<Kept>,
    host: watch::Sender<Option<Peer<RoleServer>>>,
}

impl Default for Record {
    fn default() -> Self {
        let kept = Kept { events: VecDeque::new(), wanted: BTreeSet::new(), level: LoggingLevel::Info };
        Self { kept: Mutex::new(kept), host: watch::Sender::new(None) }
    }
}

impl Record {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps an event.
    pub(super) fn keep(&self, event: Value) {
        let mut kept = self.lock();
        if kept.events.len() >= MOST_EVENTS {
            kept.events.pop_front();
        }
        kept.events.push_back(event);
    }

    /// The events kept, the latest at the end.
    pub(super) fn events(&self) -> Vec<Value> {
        self.lock().events.iter().cloned().collect()
    }

    /// Notes whether the host wants to hear of changes of a resource.
    pub(super) fn want(&self, topic: Topic, wanted: bool) {
        let mut kept = self.lock();
        if wanted {
            kept.wanted.insert(topic)
        } else {
            kept.wanted.remove(&topic)
        };
    }

    /// Whether the host wants to hear of changes of a resource.
    pub(super) fn wants(&self, topic: Topic) -> bool {
        self.lock().wanted.contains(&topic)
    }

    /// Sets the lowest level that the host wants to hear of.
    pub(super) fn set_level(&self, level: LoggingLevel) {
        self.lock().level = level;
    }

    /// Whether the host wants to hear of this level.
    pub(super) fn takes(&self, level: LoggingLevel) -> bool {
        rank(level) >= rank(self.lock().level)
    }

    /// The host said that it is ready to be told.
    pub(super) fn host_is_ready(&self, host: Peer<RoleServer>) {
        self.host.send_replace(Some(host));
    }

    /// The host, once it is ready to be told.
    pub(super) fn host(&self) -> Option<Peer<RoleServer>> {
        self.host.borrow().clone()
    }
}

fn rank(level: LoggingLevel) -> u8 {
    match level {
        LoggingLevel::Debug => 0,
        LoggingLevel::Info => 1,
        LoggingLevel::Notice => 2,
        LoggingLevel::Warning => 3,
        LoggingLevel::Error => 4,
        LoggingLevel::Critical => 5,
        LoggingLevel::Alert => 6,
        LoggingLevel::Emergency => 7,
    }
}

/// How serious an event is.
pub(super) fn level_of(event: &Value) -> LoggingLevel {
    let name = event.get("event").and_then(Value::as_str).unwrap_or_default();
    let reason = event.get("reason").and_then(Value::as_str).unwrap_or_default();
    match (name, reason) {
        ("cluster.degraded" | "cluster.gap" | "cluster.task_dead", _) => LoggingLevel::Warning,
        ("cluster.node_left", "heartbeat_timeout" | "process_died" | "replaced") => LoggingLevel::Warning,
        ("cluster.leader_lost", "replaced") => LoggingLevel::Warning,
        ("cluster.recovered" | "cluster.leader_lost", _) => LoggingLevel::Notice,
        _ => LoggingLevel::Info,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_the_latest_events_are_kept() {
        let record = Record::default();
        (0..MOST_EVENTS + 10).for_each(|n| record.keep(json!(n)));
        let events = record.events();
        assert_eq!((events.len(), &events[0]), (MOST_EVENTS, &json!(10)));
    }

    #[test]
    fn losses_are_warnings_and_a_goodbye_is_none() {
        let level = |name: &str, reason: &str| level_of(&json!({"event": name, "reason": reason}));
        assert_eq!(level("cluster.node_left", "process_died"), LoggingLevel::Warning);
        assert_eq!(level("cluster.node_left", "left"), LoggingLevel::Info);
        assert_eq!(level("cluster.degraded", ""), LoggingLevel::Warning);
        let record = Record::default();
        assert!(record.takes(LoggingLevel::Info) && !record.takes(LoggingLevel::Debug));
        record.set_level(LoggingLevel::Error);
        assert!(record.takes(LoggingLevel::Alert) && !record.takes(LoggingLevel::Warning));
    }
}
