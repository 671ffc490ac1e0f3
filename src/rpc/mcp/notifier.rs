//! Tells the host what happens: log messages, and that a resource has changed.
//!
//! 1. What happens before the host is ready is kept for `cluster://events`, and not told.
//! 2. A host that reads slowly holds up this only, and the queue in front of it, not the answers to its calls.
//! 3. A change of the state that comes with no event is told within about [`LOOK_AFTER`], to those who subscribed.
//!
//! Not here: where happenings come from (`crate::cli`).

// Log messages are what the protocol has up to 2025-11-25.
#![allow(deprecated)]

use super::link::Attachment;
use super::record::{HostNotice, Record, Topic, level_of};
use rmcp::model::{LoggingMessageNotificationParam, ResourceUpdatedNotificationParam};
use rmcp::service::{Peer, RoleServer};
use serde_json::Value;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// The name under which the host sees the messages.
const LOGGER: &str = "clawster";
/// How often the state is looked at for a host that wants to hear of its changes.
const LOOK_AFTER: Duration = Duration::from_secs(1);
/// What changes in the state with every heartbeat, and is no change to tell of.
const RUNNING: [&str; 4] = ["as_of_ms", "age_ms", "last_seen_ms", "lease_expires_at_ms"];

/// Keeps and tells whatever comes, for as long as it is polled.
pub(super) async fn tell(
    record: &Arc<Record>,
    attachment: &watch::Receiver<Attachment>,
    mut notices: mpsc::Receiver<HostNotice>,
) -> Infallible {
    let mut shown = None;
    let mut looks = tokio::time::interval(LOOK_AFTER);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let next = async {
            match notices.recv().await {
                Some(happening) => happening,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            happening = next => happened(record, happening).await,
            _ = looks.tick() => look(record, attachment, &mut shown).await,
        }
    }
}

async fn happened(record: &Record, happening: HostNotice) {
    let event = match happening {
        HostNotice::Earlier(event) => return record.keep(event),
        HostNotice::Attached => None,
        HostNotice::Event(event) => {
            record.keep(event.clone());
            Some(event)
        }
    };
    let Some(host) = record.host() else { return };
    // Messages come and go without changing who is there and who leads.
    let touches_state = event.as_ref().is_none_or(|event| event["event"] != "cluster.sync_complete");
    if let Some(event) = event {
        let level = level_of(&event);
        if record.takes(level) {
            let message = LoggingMessageNotificationParam::new(level, event).with_logger(LOGGER);
            sent(host.notify_logging_message(message).await);
        }
        updated(record, &host, Topic::Events).await;
    }
    if touches_state {
        updated(record, &host, Topic::State).await;
    }
}

/// Looks for changes of the state that come with no event: a missed heartbeat, a node that drains.
async fn look(record: &Record, attachment: &watch::Receiver<Attachment>, shown: &mut Option<Value>) {
    let Some(host) = record.host().filter(|_| record.wants(Topic::State)) else {
        *shown = None;
        return;
    };
    let Attachment::Node(link) = attachment.borrow().clone() else { return };
    let asked = tokio::time::timeout(LOOK_AFTER, link.client().call_raw("distributed.get_cluster_state", ())).await;
    let Ok(Ok(mut state)) = asked else { return };
    settle(&mut state);
    let before = shown.replace(state);
    if before.is_some() && before != *shown {
        updated(record, &host, Topic::State).await;
    }
}

/// Takes out what runs on by itself.
fn settle(state: &mut Value) {
    match state {
        Value::Object(members) => {
            members.retain(|name, _| !RUNNING.contains(&name.as_str()));
            members.values_mut().for_each(settle);
        }
        Value::Array(items) => items.iter_mut().for_each(settle),
        _ => {}
    }
}

async fn updated(record: &Record, host: &Peer<RoleServer>, topic: Topic) {
    if record.wants(topic) {
        sent(host.notify_resource_updated(ResourceUpdatedNotificationParam::new(topic.uri())).await);
    }
}

fn sent<E: std::fmt::Display>(outcome: Result<(), E>) {
    if let Err(error) = outcome {
        // The session ends by itself when nothing can be written any more.
        tracing::debug!(%error, "the host was not told");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn times_that_run_on_are_no_change() {
        let state = |at: u64, status: &str| {
            let mut state = json!({"as_of_ms": at, "nodes": [{"node_id": "a", "last_seen_ms": at, "status": status}]});
            settle(&mut state);
            state
        };
        assert_eq!(state(1, "online"), state(2, "online"));
        assert_ne!(state(1, "online"), state(1, "suspect"));
    }
}
