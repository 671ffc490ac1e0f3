//! Sends notifications to the host: log messages, and changes of resources.
//!
//! 1. Events from before the host is ready are kept for `cluster://events`, and not sent as notifications.
//! 2. A host that reads slowly holds up only this task and its queue, not the answers to its calls.
//! 3. A change of the state without an event is noticed within about [`STATE_POLL_INTERVAL`], and sent to a host that subscribed to
//!    the state.
//!
//! Not here: where notices come from (`crate::cli`).

// The protocol has log messages up to 2025-11-25.
#![allow(deprecated)]

use super::link::Attachment;
use super::record::{HostNotice, Record, Topic, level_of};
use crate::rpc::wire::event::SYNC_COMPLETE;
use rmcp::model::{LoggingMessageNotificationParam, ResourceUpdatedNotificationParam};
use rmcp::service::{Peer, RoleServer};
use serde_json::Value;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// The logger name that the host sees.
const LOGGER: &str = "clawster";
/// How often the state is checked for a host that subscribed to it.
const STATE_POLL_INTERVAL: Duration = Duration::from_secs(1);
/// The members of the state that change with every heartbeat; they do not count as a change.
const RUNNING: [&str; 4] = ["as_of_ms", "age_ms", "last_seen_ms", "lease_expires_at_ms"];

/// Keeps every notice and sends it to the host, for as long as it is polled.
pub(super) async fn notify(
    record: &Arc<Record>,
    attachment: &watch::Receiver<Attachment>,
    mut notices: mpsc::Receiver<HostNotice>,
) -> Infallible {
    let mut shown = None;
    let mut looks = tokio::time::interval(STATE_POLL_INTERVAL);
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
    let host = record.host();
    // Messages change neither the members nor the leader.
    let touches_state = event.as_ref().is_none_or(|event| event["event"] != SYNC_COMPLETE);
    if let Some(event) = event {
        let level = level_of(&event);
        if record.takes(level)
            && let Some(host) = &host
        {
            let message = LoggingMessageNotificationParam::new(level, event).with_logger(LOGGER);
            sent(host.notify_logging_message(message).await);
        }
        updated(record, host.as_ref(), Topic::Events).await;
    }
    if touches_state {
        updated(record, host.as_ref(), Topic::State).await;
    }
}

/// Checks for changes of the state without an event: a missed heartbeat, a draining node.
async fn look(record: &Record, attachment: &watch::Receiver<Attachment>, shown: &mut Option<Value>) {
    if !record.is_followed(Topic::State) {
        *shown = None;
        return;
    }
    let Attachment::Node(link) = attachment.borrow().clone() else { return };
    let asked =
        tokio::time::timeout(STATE_POLL_INTERVAL, link.client().call_raw("distributed.get_cluster_state", ())).await;
    let Ok(Ok(mut state)) = asked else { return };
    settle(&mut state);
    let before = shown.replace(state);
    if before.is_some() && before != *shown {
        updated(record, record.host().as_ref(), Topic::State).await;
    }
}

/// Removes the members that change with every heartbeat.
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

async fn updated(record: &Record, host: Option<&Peer<RoleServer>>, topic: Topic) {
    record.change(topic);
    if let Some(host) = host.filter(|_| record.wants(topic)) {
        sent(host.notify_resource_updated(ResourceUpdatedNotificationParam::new(topic.uri())).await);
    }
}

fn sent<E: std::fmt::Display>(outcome: Result<(), E>) {
    if let Err(error) = outcome {
        // The session ends by itself when nothing can be written any more.
        tracing::debug!(%error, "cannot send a notification to the host");
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
