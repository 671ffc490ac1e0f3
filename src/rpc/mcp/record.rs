//! The recent events of a session, and what its host subscribed to.
//!
//! 1. Only the latest [`MOST_EVENTS`] events are kept.
//!
//! Not here: sending notifications (`notifier.rs`).

// The protocol has log messages up to 2025-11-25.
#![allow(deprecated)]

use crate::rpc::wire::event::{EVENTS, Severity};
use rmcp::model::LoggingLevel;
use rmcp::service::{Peer, RoleServer};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// The maximum number of events that a session keeps.
pub(super) const MOST_EVENTS: usize = 256;

/// Something that may cause a notification to the host.
#[derive(Debug, Clone, PartialEq)]
pub enum HostNotice {
    /// An event of the node, as a `cluster.subscribe` notification carries it.
    Event(Value),
    /// An event from before the session began: it is kept, and not sent.
    Earlier(Value),
    /// The session was attached to a node, whose state may differ from that of the previous one.
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
    /// How often each resource changed.
    changes: BTreeMap<Topic, u64>,
    /// How many subscriptions of the newest protocol follow each resource.
    followed: BTreeMap<Topic, u64>,
}

/// Follows changes of resources; several changes that nobody has asked for yet are one.
pub(super) struct Changes<'a> {
    record: &'a Record,
    /// What was seen of each resource that is followed.
    seen: BTreeMap<Topic, u64>,
    changed: watch::Receiver<()>,
}

impl Changes<'_> {
    /// Waits for the next change. Cancel safe.
    pub(super) async fn next(&mut self) -> Topic {
        loop {
            self.changed.borrow_and_update();
            if let Some(topic) = self.find() {
                return topic;
            }
            if self.changed.changed().await.is_err() {
                // The record ends with the session.
                std::future::pending::<()>().await;
            }
        }
    }

    fn find(&mut self) -> Option<Topic> {
        let kept = self.record.lock();
        let (topic, seen) = self.seen.iter_mut().find(|(topic, seen)| kept.changed(**topic) > **seen)?;
        *seen = kept.changed(*topic);
        Some(*topic)
    }
}

impl Drop for Changes<'_> {
    fn drop(&mut self) {
        let mut kept = self.record.lock();
        for topic in self.seen.keys() {
            if let Some(count) = kept.followed.get_mut(topic) {
                *count = count.saturating_sub(1);
            }
        }
    }
}

impl Kept {
    fn changed(&self, topic: Topic) -> u64 {
        self.changes.get(&topic).copied().unwrap_or(0)
    }
}

/// The recent events, and what the host subscribed to.
#[derive(Debug)]
pub(super) struct Record {
    kept: Mutex<Kept>,
    host: watch::Sender<Option<Peer<RoleServer>>>,
    changed: watch::Sender<()>,
}

impl Default for Record {
    fn default() -> Self {
        let kept = Kept {
            events: VecDeque::new(),
            wanted: BTreeSet::new(),
            level: LoggingLevel::Info,
            changes: BTreeMap::new(),
            followed: BTreeMap::new(),
        };
        Self { kept: Mutex::new(kept), host: watch::Sender::new(None), changed: watch::Sender::new(()) }
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

    /// The kept events, newest last.
    pub(super) fn events(&self) -> Vec<Value> {
        self.lock().events.iter().cloned().collect()
    }

    /// Subscribes the host to a resource, or ends that subscription.
    pub(super) fn want(&self, topic: Topic, wanted: bool) {
        let mut kept = self.lock();
        if wanted {
            kept.wanted.insert(topic)
        } else {
            kept.wanted.remove(&topic)
        };
    }

    /// Follows changes of some resources, from now on.
    pub(super) fn listen(&self, topics: BTreeSet<Topic>) -> Changes<'_> {
        let changed = self.changed.subscribe();
        let mut kept = self.lock();
        let seen: BTreeMap<Topic, u64> = topics.into_iter().map(|topic| (topic, kept.changed(topic))).collect();
        for topic in seen.keys() {
            *kept.followed.entry(*topic).or_default() += 1;
        }
        drop(kept);
        Changes { record: self, seen, changed }
    }

    /// Tells those who follow a resource that it changed.
    pub(super) fn change(&self, topic: Topic) {
        *self.lock().changes.entry(topic).or_default() += 1;
        self.changed.send_replace(());
    }

    /// Whether anybody follows a resource, in the way of any version of the protocol.
    pub(super) fn is_followed(&self, topic: Topic) -> bool {
        let kept = self.lock();
        kept.wanted.contains(&topic) || kept.followed.get(&topic).is_some_and(|count| *count > 0)
    }

    /// Whether the host subscribed to a resource.
    pub(super) fn wants(&self, topic: Topic) -> bool {
        self.lock().wanted.contains(&topic)
    }

    /// Sets the lowest level of log messages that the host wants.
    pub(super) fn set_level(&self, level: LoggingLevel) {
        self.lock().level = level;
    }

    /// Whether the host wants log messages of this level.
    pub(super) fn takes(&self, level: LoggingLevel) -> bool {
        rank(level) >= rank(self.lock().level)
    }

    /// Stores the host once it accepts notifications.
    pub(super) fn host_is_ready(&self, host: Peer<RoleServer>) {
        self.host.send_replace(Some(host));
    }

    /// The host, once it accepts notifications.
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

/// The log level of an event.
pub(super) fn level_of(event: &Value) -> LoggingLevel {
    let name = event.get("event").and_then(Value::as_str).unwrap_or_default();
    let reason = event.get("reason").and_then(Value::as_str).unwrap_or_default();
    match (name, reason) {
        ("cluster.node_left", "heartbeat_timeout" | "process_died" | "replaced")
        | ("cluster.leader_lost", "replaced") => LoggingLevel::Warning,
        _ => match EVENTS.iter().find(|spec| spec.name == name).map(|spec| spec.severity) {
            Some(Severity::Warning) => LoggingLevel::Warning,
            Some(Severity::Notice) => LoggingLevel::Notice,
            Some(Severity::Info) | None => LoggingLevel::Info,
        },
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

    #[tokio::test]
    async fn changes_are_told_to_those_who_follow_them_and_once() {
        let record = Record::default();
        record.change(Topic::State);
        let mut changes = record.listen(BTreeSet::from([Topic::State]));
        assert!(record.is_followed(Topic::State) && !record.is_followed(Topic::Events));
        record.change(Topic::Events);
        record.change(Topic::State);
        record.change(Topic::State);
        assert_eq!(changes.next().await, Topic::State);
        let more = tokio::time::timeout(std::time::Duration::from_millis(20), changes.next()).await;
        assert!(more.is_err(), "several changes are one, and earlier ones are none");
        drop(changes);
        assert!(!record.is_followed(Topic::State));
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
